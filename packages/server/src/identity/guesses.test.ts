import { expect, test } from "vitest";
import { Guesses, networkOf } from "./guesses.ts";

function createGuesses(limits: { perAddress?: number; perTarget?: number; overall?: number } = {}) {
  const clock = { ms: 0, now: () => clock.ms };
  const locks: string[] = [];
  const guesses = new Guesses(clock, {
    windowMs: 1000,
    perAddress: 3,
    perTarget: 3,
    overall: 10,
    onLock: (by, address) => locks.push(`${by} ${address}`),
    ...limits,
  });
  return { guesses, clock, locks };
}

test("an address that guessed too often has to wait for the next window (invariant 1)", () => {
  const { guesses, clock } = createGuesses();
  expect([1, 2, 3, 4].map(() => guesses.take("192.0.2.1"))).toEqual([true, true, true, false]);
  expect(guesses.take("192.0.2.2")).toBe(true);
  clock.ms = 999;
  expect(guesses.take("192.0.2.1")).toBe(false);
  expect(guesses.waitMs).toBe(1);
  clock.ms = 1000;
  expect(guesses.take("192.0.2.1")).toBe(true);
});

test("1,000 guesses from 1,000 addresses lock everybody out for a while (invariant 1)", () => {
  const { guesses } = createGuesses({ overall: 1000 });
  for (let guess = 0; guess < 1000; guess += 1) {
    expect(guesses.take(`10.0.${guess >> 8}.${guess & 255}`)).toBe(true);
  }
  expect(guesses.take("192.0.2.1")).toBe(false);
});

test("one target is protected from many addresses", () => {
  const { guesses } = createGuesses();
  for (const address of ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) {
    expect(guesses.take(address, "alice")).toBe(true);
  }
  expect(guesses.take("192.0.2.4", "alice")).toBe(false);
  expect(guesses.take("192.0.2.4", "bob")).toBe(true);
});

test("a right guess does not count, a refused one neither", () => {
  const { guesses } = createGuesses({ perAddress: 1 });
  for (let login = 0; login < 50; login += 1) {
    expect(guesses.take("192.0.2.1", "alice")).toBe(true);
    guesses.giveBack("192.0.2.1", "alice");
  }
  expect(guesses.take("192.0.2.1", "alice")).toBe(true);
  expect(guesses.take("192.0.2.1", "alice")).toBe(false);
  guesses.giveBack("192.0.2.1", "alice");
  expect(guesses.take("192.0.2.1", "alice")).toBe(true);
});

test("guesses at once are counted before they are judged", () => {
  const { guesses } = createGuesses();
  const taken = Array.from({ length: 20 }, () => guesses.take("192.0.2.1"));
  expect(taken.filter(Boolean)).toHaveLength(3);
});

test("a lock is told once a window", () => {
  const { guesses, clock, locks } = createGuesses({ perAddress: 1 });
  for (const ms of [0, 0, 0, 1000, 1000]) {
    clock.ms = ms;
    guesses.take("192.0.2.1");
  }
  expect(locks).toEqual(["address 192.0.2.1", "address 192.0.2.1"]);
});

test.each([
  ["192.0.2.1", "192.0.2.1"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:DB8:1:2::9", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
])("the network of %s is %s", (address, network) => {
  expect(networkOf(address)).toBe(network);
});
