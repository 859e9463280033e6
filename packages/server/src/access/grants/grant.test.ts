import { expect, test } from "vitest";
import { type GrantLife, grantTable, nextGrantState } from "./grant.ts";

const active: GrantLife = {
  id: "grt_1",
  state: "active",
  end: null,
  end_reason: null,
  ends_at: Date.UTC(2026, 0, 1, 12),
};
const expired: GrantLife = { ...active, state: "ended", end: "expired" };
const revoked: GrantLife = { ...active, state: "ended", end: "revoked", end_reason: "wrong table" };

test("has the states and inputs that these tests visit, and no more", () => {
  expect(grantTable).toEqual({ active: { expire: "ended", revoke: "ended" }, ended: {} });
});

test.each(["expire", "revoke"] as const)("an active grant ends: %s", (input) => {
  expect(nextGrantState(active, input)).toBe("ended");
});

test.each(["expire", "revoke"] as const)(
  "an ended grant refuses, saying how it ended: %s",
  (input) => {
    expect(() => nextGrantState(expired, input)).toThrow(
      expect.objectContaining({
        code: "grant.expired",
        message: "The grant grt_1 ended at 2026-01-01T12:00:00.000Z.",
      }),
    );
    expect(() => nextGrantState(revoked, input)).toThrow(
      expect.objectContaining({
        code: "grant.revoked",
        message: "The grant grt_1 was revoked: wrong table",
      }),
    );
    expect(() => nextGrantState({ ...revoked, end_reason: "" }, input)).toThrow(
      expect.objectContaining({ message: "The grant grt_1 was revoked." }),
    );
  },
);
