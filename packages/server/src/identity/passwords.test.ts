import { randomBytes } from "node:crypto";
import { Secret } from "@jitdb/shared/secret";
import { expect, test } from "vitest";
import { Passwords, passwordLimits } from "./passwords.ts";

const random = { bytes: (count: number) => randomBytes(count) };
const passwords = new Passwords(random);
const good = new Secret("correct horse battery");

test("a hash says how it was made, and holds for its password alone", async () => {
  const hash = await passwords.hash(good);
  expect(hash).toMatch(/^\$argon2id\$v=19\$m=65536,t=3,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
  expect(await passwords.verify(good, hash)).toBe(true);
  expect(await passwords.verify(new Secret("correct horse batterY"), hash)).toBe(false);
  expect(await passwords.hash(good)).not.toBe(hash);
});

test("a hash that another implementation made with other parameters is understood", async () => {
  // Reference implementation, src/test.c: argon2id, version 19, t=2, m=2^16, p=1, "password", "somesalt".
  const hash =
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
  expect(await passwords.verify(new Secret("password"), hash)).toBe(true);
  expect(await passwords.verify(new Secret("passworD"), hash)).toBe(false);
});

test("no hash is no match, and still costs a derivation", async () => {
  const before = process.resourceUsage().userCPUTime;
  expect(await passwords.verify(good, null)).toBe(false);
  const derived = process.resourceUsage().userCPUTime - before;
  // Three passes over 64 MiB take more than ten milliseconds on anything that runs this.
  expect(derived).toBeGreaterThan(10_000);
});

test.each([
  ["empty", "", "at least 12"],
  ["one too short", "a".repeat(passwordLimits.minBytes - 1), "at least 12"],
  ["one too long", "a".repeat(passwordLimits.maxBytes + 1), "at most 1024"],
])("refuses a password that is %s", async (_what, text, words) => {
  await expect(passwords.hash(new Secret(text))).rejects.toMatchObject({
    code: "usage.invalid",
    message: expect.stringContaining(words),
  });
});

test("takes the shortest and the longest password, whole", async () => {
  const shortest = new Secret("a".repeat(passwordLimits.minBytes));
  expect(await passwords.verify(shortest, await passwords.hash(shortest))).toBe(true);
  const text = "a".repeat(passwordLimits.maxBytes);
  const hash = await passwords.hash(new Secret(text));
  expect(await passwords.verify(new Secret(text), hash)).toBe(true);
  expect(await passwords.verify(new Secret(`${text}a`), hash)).toBe(false);
  expect(await passwords.verify(new Secret(`${text.slice(0, -1)}b`), hash)).toBe(false);
});

test("a damaged hash is an error of the store, not a wrong password", async () => {
  await expect(passwords.verify(good, "$argon2id$v=19$m=1")).rejects.toMatchObject({
    code: "store.damaged",
  });
});
