// Checkpoints: where the journal stood, signed, to be kept elsewhere. They show what a chain alone can't: a tail that was cut, and a
// journal that was written anew from its beginning. The key comes of the master key; whoever has that can sign others, but can't
// change those that are kept elsewhere. Source: RFC 8032 (Ed25519).

import { createPrivateKey, createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { JitdbError } from "@jitdb/shared/errors";
import * as z from "zod";
import { canonicalJson } from "./canonical.ts";

const checkpoint = z.strictObject({
  /** The journal's name. */
  journal: z.string().max(100),
  /** Number of the newest record, and SHA-256 (hex) of its line. */
  seq: z.number().int().positive(),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
  /** When it was signed. */
  at: z.iso.datetime(),
  /** The public key: 32 bytes in base64url. */
  key: z.string().max(100),
  /** Of the fields but for this one, in canonical form. 64 bytes in base64url. */
  signature: z.string().max(200),
});
export type Checkpoint = z.infer<typeof checkpoint>;

/** A PKCS #8 private key of Ed25519, up to the 32 bytes that it is made of (RFC 8410 §7). */
const pkcs8 = Buffer.from("302e020100300506032b657004220420", "hex");

/** @param seed 32 bytes */
export function checkpointKey(seed: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([pkcs8, seed]), format: "der", type: "pkcs8" });
}

export function signCheckpoint(
  where: Pick<Checkpoint, "journal" | "seq" | "hash" | "at">,
  key: KeyObject,
): Checkpoint {
  const named = { ...where, key: publicKeyOf(key) };
  return { ...named, signature: sign(null, signed(named), key).toString("base64url") };
}

/**
 * Reads a line that `signCheckpoint` made.
 * @throws JitdbError `usage.invalid` for what is none, or was signed with another key
 */
export function readCheckpoint(line: string, key: KeyObject): Checkpoint {
  const { data } = checkpoint.safeParse(parse(line));
  if (data === undefined) {
    throw new JitdbError("usage.invalid", "This is no checkpoint of a journal.", {
      hint: "Give a file of lines that `jitdb-server audit checkpoint` printed.",
    });
  }
  const { signature, ...named } = data;
  const isOurs =
    named.key === publicKeyOf(key) &&
    verify(null, signed(named), createPublicKey(key), Buffer.from(signature, "base64url"));
  if (!isOurs) {
    throw new JitdbError(
      "usage.invalid",
      `The checkpoint of record ${data.seq} was not signed with this installation's key.`,
      { hint: "It was changed, or it belongs to another master key or installation." },
    );
  }
  return data;
}

function signed(named: Omit<Checkpoint, "signature">): Buffer {
  return Buffer.from(`jitdb journal checkpoint\n${canonicalJson(named)}`);
}

function publicKeyOf(key: KeyObject): string {
  return String(createPublicKey(key).export({ format: "jwk" }).x);
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
