import { expect, test } from "vitest";
import { endedError, type GrantLife, grantTable, nextGrantState } from "./grant.ts";

const active: GrantLife = {
  database_name: "orders",
  state: "active",
  end: null,
  end_reason: null,
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
        message: "The time for orders is over.",
        hint: "Ask again with `jitdb request orders --for 30m`.",
      }),
    );
    expect(() => nextGrantState(revoked, input)).toThrow(
      expect.objectContaining({
        code: "grant.revoked",
        message: "The grant for orders was revoked: wrong table",
        hint: "Talk to who revoked it, or ask again with `jitdb request orders --for 30m`.",
      }),
    );
    expect(() => nextGrantState({ ...revoked, end_reason: "" }, input)).toThrow(
      expect.objectContaining({ message: "The grant for orders was revoked." }),
    );
  },
);

test("names who revoked a grant, where it is known", () => {
  expect(endedError(revoked, "bob").message).toBe(
    "The grant for orders was revoked by bob: wrong table",
  );
});
