// The master key's file: JSON {id, key}, or the 32 bytes alone, in base64. Every ephemeral user's password comes out of it.

import { createHash } from "node:crypto";
import type { Random } from "@jitdb/shared/ids";
import { Secret } from "@jitdb/shared/secret";
import * as z from "zod";
import type { MasterKey } from "./config.ts";

const keyBytes = 32;
const keyFile = z.object({ id: z.string().regex(/^[a-z0-9_-]{1,32}$/), key: z.string() });

/** A fresh key, as the text of its file. Hand it to a file of mode 0600 at once. */
export function createMasterKeyFile(random: Random): Secret {
  const key = Buffer.from(random.bytes(keyBytes)).toString("base64");
  return new Secret(`${JSON.stringify({ id: fingerprint(key), key })}\n`);
}

/** Reads either form; undefined where it is neither. */
export function parseMasterKey(text: Secret): MasterKey | undefined {
  const { id, key } = split(text.reveal().trim());
  const bytes = Buffer.from(key, "base64");
  if (bytes.length !== keyBytes || bytes.toString("base64") !== key) {
    return undefined;
  }
  return { id: id ?? fingerprint(key), key: new Secret(key) };
}

function split(text: string): { id?: string; key: string } {
  if (!text.startsWith("{")) {
    return { key: text };
  }
  try {
    return keyFile.parse(JSON.parse(text));
  } catch {
    // Whatever is wrong with it, the answer is the same: this is no key. The parser's message could quote it.
    return { key: "" };
  }
}

/** Names a key without telling it. */
function fingerprint(key: string): string {
  return createHash("sha256").update(`jitdb master key id\0${key}`).digest("hex").slice(0, 8);
}
