import { createHash } from "node:crypto";
import { importJWK, jwtVerify, SignJWT } from "jose";
import { expect, test } from "vitest";
import { deriveSigningKey } from "./signing-key.ts";

const from = (master: string) => (label: string) =>
  new Uint8Array(createHash("sha256").update(`${master} ${label}`).digest());

test("the key signs, its public half verifies, and it follows from the master key alone", async () => {
  const key = await deriveSigningKey(from("one"));
  const { d: _, ...publicHalf } = key;
  const token = await new SignJWT({}).setProtectedHeader({ alg: "ES256" }).sign(key);
  await expect(jwtVerify(token, await importJWK(publicHalf))).resolves.toBeDefined();
  expect(await deriveSigningKey(from("one"))).toEqual(key);
  expect((await deriveSigningKey(from("two"))).kid).not.toBe(key.kid);
});

test("bytes that are no private key are passed over, and a derivation that gives nothing else fails", async () => {
  const second = from("one");
  const key = await deriveSigningKey((label) =>
    label.endsWith("/0") ? new Uint8Array(32) : second(label),
  );
  expect(key.crv).toBe("P-256");
  await expect(deriveSigningKey(() => new Uint8Array(32))).rejects.toThrow();
});
