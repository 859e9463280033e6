import { expect, test } from "vitest";
import { RateLimit } from "./rate-limit.ts";

test("allows a burst, then a steady rate, and never saves up more than the burst", () => {
  const clock = { ms: 1000, now: () => clock.ms };
  const limit = new RateLimit({ burst: 3, perSecond: 2 }, clock);
  const taken = () => [1, 2, 3, 4].filter(() => limit.take()).length;
  expect(taken()).toBe(3);
  clock.ms += 499;
  expect(limit.take()).toBe(false);
  clock.ms += 1;
  expect(taken()).toBe(1);
  clock.ms += 3_600_000;
  expect(taken()).toBe(3);
});

test("neither gives nor takes when the clock is set back", () => {
  const clock = { ms: 10_000, now: () => clock.ms };
  const limit = new RateLimit({ burst: 1, perSecond: 1 }, clock);
  expect(limit.take()).toBe(true);
  clock.ms = 0;
  expect(limit.take()).toBe(false);
  clock.ms = 1000;
  expect(limit.take()).toBe(true);
});
