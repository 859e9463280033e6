import { expect, test } from "vitest";
import { PollingPace } from "./polling.ts";

function createPace() {
  const clock = { ms: 0, now: () => clock.ms };
  const pace = new PollingPace(clock);
  return (ms: number, code = "code") => {
    clock.ms = ms;
    return pace.accept(code, 600_000);
  };
}

test("a device that keeps to the interval is never slowed down", () => {
  const poll = createPace();
  expect([0, 1000, 1800, 2850].map((ms) => poll(ms))).toEqual([true, true, true, true]);
});

test("a device that asks too early waits five seconds more each time (invariant 1)", () => {
  const poll = createPace();
  expect(poll(0)).toBe(true);
  expect(poll(500)).toBe(false);
  expect(poll(3000)).toBe(false);
  expect(poll(15_000)).toBe(true);
  expect(poll(25_000)).toBe(false);
});

test("each code has a pace of its own, forgotten when the code expires", () => {
  const poll = createPace();
  expect(poll(0, "one")).toBe(true);
  expect(poll(0, "two")).toBe(true);
  expect(poll(1, "one")).toBe(false);
  expect(poll(600_000, "one")).toBe(true);
});
