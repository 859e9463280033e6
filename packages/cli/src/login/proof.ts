// Proofs of possession (DPoP, RFC 9449): a token works only together with a fresh signature of the device's key.

import type { Random } from "@jitdb/shared/ids";
import { Secret } from "@jitdb/shared/secret";
import { base64url, type CryptoKey, exportJWK, generateKeyPair, importJWK, SignJWT } from "jose";

const algorithm = "ES256";

/** The device's key, ready to sign. */
export interface DeviceKey {
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
}

/** A new key for this device's login to one server, as the text of a private JWK. */
export async function generateDeviceKey(): Promise<Secret> {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return new Secret(JSON.stringify(await exportJWK(privateKey)));
}

export async function importDeviceKey(key: Secret): Promise<DeviceKey> {
  const { d, ...publicPart } = JSON.parse(key.reveal());
  const [privateKey, publicKey] = await Promise.all([
    importJWK({ d, ...publicPart }, algorithm),
    importJWK(publicPart, algorithm, { extractable: true }),
  ]);
  return { privateKey: privateKey as CryptoKey, publicKey: publicKey as CryptoKey };
}

export interface ProofInput {
  readonly method: string;
  /** Absolute address; query and fragment are left out of the proof (§4.2). */
  readonly url: string;
  readonly accessToken: Secret;
  /** The nonce that the server asked for, if it did (§8). */
  readonly nonce: string | undefined;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** A proof for one call with an access token; good for that method and address, once. */
export async function createProof(
  key: DeviceKey,
  random: Random,
  { method, url, accessToken, nonce, now }: ProofInput,
): Promise<string> {
  const token = new TextEncoder().encode(accessToken.reveal());
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", token));
  const { origin, pathname } = new URL(url);
  return await new SignJWT({
    jti: base64url.encode(random.bytes(16)),
    htm: method,
    htu: `${origin}${pathname}`,
    ath: base64url.encode(hash),
    iat: Math.floor(now / 1000),
    ...(nonce === undefined ? {} : { nonce }),
  })
    .setProtectedHeader({ typ: "dpop+jwt", alg: algorithm, jwk: await exportJWK(key.publicKey) })
    .sign(key.privateKey);
}
