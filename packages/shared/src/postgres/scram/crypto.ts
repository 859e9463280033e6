// The hash functions that SCRAM-SHA-256 needs, as a port: the kernel has none of its own. Both shells supply node:crypto's.

/** All results are memory of their own. */
export interface ScramCrypto {
  sha256(data: Uint8Array): Uint8Array;
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array;
  /** PBKDF2 with HMAC-SHA-256 and a key of 32 bytes; off the main thread. */
  pbkdf2Sha256(password: Uint8Array, salt: Uint8Array, iterations: number): Promise<Uint8Array>;
  /** Bytes of a cryptographically secure generator. */
  randomBytes(count: number): Uint8Array;
  /** Compares two arrays of equal length in a time that does not depend on their contents. */
  timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean;
}

/** Bytes of every hash and key of SCRAM-SHA-256. */
export const scramKeyBytes = 32;

/** @param b as long as `a` */
export function xor(a: Uint8Array, b: Uint8Array): Uint8Array {
  return a.map((byte, index) => byte ^ (b[index] ?? 0));
}
