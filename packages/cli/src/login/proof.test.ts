import { createHash } from "node:crypto";
import { Secret } from "@jitdb/shared/secret";
import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from "jose";
import { describe, expect, it } from "vitest";
import { createProof, generateDeviceKey, importDeviceKey } from "./proof.ts";

const now = Date.UTC(2026, 10, 23, 12);
const input = {
  method: "POST",
  url: "https://jitdb.example.com/api/v1/requests?scope=mine#x",
  accessToken: new Secret("token"),
  nonce: "n1",
  now,
};

describe("a proof (invariant 3)", () => {
  it("is signed by the device's key and names method, address, token, time and nonce", async () => {
    const key = await importDeviceKey(await generateDeviceKey());
    const proof = await createProof(
      key,
      { bytes: (count) => new Uint8Array(count).fill(7) },
      input,
    );
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      currentDate: new Date(now),
    });
    expect(protectedHeader).toMatchObject({ typ: "dpop+jwt", alg: "ES256" });
    expect(Object.keys(protectedHeader.jwk ?? {}).sort()).toEqual(["crv", "kty", "x", "y"]);
    expect(payload).toEqual({
      jti: Buffer.alloc(16, 7).toString("base64url"),
      htm: "POST",
      htu: "https://jitdb.example.com/api/v1/requests",
      ath: createHash("sha256").update("token").digest("base64url"),
      iat: now / 1000,
      nonce: "n1",
    });
  });

  it("comes from another key for every login", async () => {
    const thumbprint = async () =>
      calculateJwkThumbprint(JSON.parse((await generateDeviceKey()).reveal()));
    expect(await thumbprint()).not.toBe(await thumbprint());
  });
});
