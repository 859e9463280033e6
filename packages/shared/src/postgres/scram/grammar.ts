// The text that SCRAM messages are made of: `a=value` attributes, separated by commas (RFC 5802 §5.1, §7).

import { JitdbError } from "../../errors.ts";
import { decodeLatin1 } from "../reader.ts";

/** Bounds of what a peer may make us do. */
export const scramLimits = {
  /** Bytes of any one message. */
  maxMessageBytes: 4_096,
  /** Characters of the two nonces together. */
  maxNonceLength: 512,
  maxSaltBytes: 1_024,
  /** RFC 7677 §4. SECURITY: fewer would let a rogue server collect a proof that is cheap to guess the password from. */
  minIterations: 4_096,
  /** About a second of work. SECURITY: a rogue server must not buy an hour of it (invariant 17). */
  maxIterations: 1_000_000,
} as const;

/** Bytes of our half of a nonce, as libpq's. */
export const nonceBytes = 18;

/** RFC 5802 §7, `printable`: all of ASCII that can be seen, but for the comma. */
const printable = /^[\x21-\x2b\x2d-\x7e]+$/;

/**
 * Splits a message into its attributes.
 * @param expected the attributes that it has to begin with, in order; more may follow, but no `m`
 * @returns the values of the expected attributes
 * @throws JitdbError `postgres.auth`
 */
export function parseAttributes(text: string, expected: readonly string[]): string[] {
  const attributes = text.split(",");
  const values = expected.map((name, index) => {
    const attribute = attributes[index];
    if (attribute?.startsWith(`${name}=`) !== true) {
      throw scramError(`attribute ${name} is missing`);
    }
    return attribute.slice(2);
  });
  // RFC 5802 §5.1: `m` is an extension that whoever does not know it must not ignore.
  if (attributes.some((attribute) => attribute.startsWith("m="))) {
    throw scramError("it demands an extension");
  }
  return values;
}

/** A message's text, one character a byte, so that it can be hashed as it came. */
export function messageText(message: Uint8Array): string {
  if (message.length > scramLimits.maxMessageBytes) {
    throw scramError(`it has ${message.length} bytes`);
  }
  return decodeLatin1(message);
}

export function checkNonce(nonce: string): void {
  if (nonce.length > scramLimits.maxNonceLength || !printable.test(nonce)) {
    throw scramError("its nonce is malformed");
  }
}

/** The error for a peer's message that breaks the exchange. Values stay out of it: some are secrets. */
export function scramError(why: string): JitdbError {
  return new JitdbError("postgres.auth", `A SCRAM message was refused: ${why}.`);
}
