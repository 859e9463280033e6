import { expect, test } from "vitest";
import type { ArtifactPayload } from "./artifacts.ts";
import { judgeUse } from "./rotation.ts";

const none = { usedRefreshTokens: async () => [] };
const token = (consumedAt: number | null, rotations = 3) => ({
  payload: { jkt: "key", grantId: "login", rotations },
  expiresAt: 1e12,
  consumedAt,
});
const used = (...rotations: number[]) => ({
  usedRefreshTokens: async (): Promise<ArtifactPayload[]> =>
    rotations.map((count) => ({ rotations: count })),
});

test("a fresh token is used for the first time", async () => {
  expect(await judgeUse(token(null), "key", none, 1000)).toBe("first");
});

test("a token in the hands of another key is stolen, used or not (invariant 4)", async () => {
  expect(await judgeUse(token(null), "other", none, 1000)).toBe("stolen");
  expect(await judgeUse(token(1000), "other", none, 1001)).toBe("stolen");
});

test("a predecessor works for 60 s and not a millisecond longer (invariant 4)", async () => {
  expect(await judgeUse(token(1000), "key", none, 61_000)).toBe("again");
  expect(await judgeUse(token(1000), "key", none, 61_001)).toBe("stolen");
});

test("a predecessor works until a successor was used, also one of two (invariant 4)", async () => {
  expect(await judgeUse(token(1000), "key", used(3), 2000)).toBe("again");
  expect(await judgeUse(token(1000), "key", used(3, 4), 2000)).toBe("stolen");
});
