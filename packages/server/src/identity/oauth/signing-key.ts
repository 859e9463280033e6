// The key that signs ID tokens. It follows from the master key, so that nothing is kept and all servers of an installation agree.

import { createECDH } from "node:crypto";
import { calculateJwkThumbprint, type JWK } from "jose";

/** Derives `bytes` bytes from the master key, other ones for each label. */
export type DeriveKey = (label: string, bytes: number) => Uint8Array;

/** A private P-256 key for ES256, as a JWK. */
export async function deriveSigningKey(deriveKey: DeriveKey): Promise<JWK> {
  const { d, point } = derivePair(deriveKey);
  // Uncompressed point (SEC 1 §2.3.3): 04, x, y.
  const [x, y] = [point.subarray(1, 33), point.subarray(33)];
  const jwk = {
    kty: "EC",
    crv: "P-256",
    x: x.toString("base64url"),
    y: y.toString("base64url"),
    d: Buffer.from(d).toString("base64url"),
    alg: "ES256",
    use: "sig",
  };
  return { ...jwk, kid: await calculateJwkThumbprint(jwk) };
}

function derivePair(deriveKey: DeriveKey): { d: Uint8Array; point: Buffer } {
  const pair = createECDH("prime256v1");
  for (let attempt = 0; ; attempt += 1) {
    const d = deriveKey(`identity/id-token-signing/${attempt}`, 32);
    try {
      pair.setPrivateKey(d);
      return { d, point: pair.getPublicKey() };
    } catch (error) {
      // One number in 2^32 is no private key of the curve: the next label gives another. Never twice in a row.
      if (attempt > 1) {
        throw error;
      }
    }
  }
}
