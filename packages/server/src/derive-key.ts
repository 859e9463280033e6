// Keys out of the master key: one for each purpose, none of which gives away another. Source: RFC 5869 (HKDF).

import { hkdfSync } from "node:crypto";
import type { MasterKey } from "./config/config.ts";

/** Keys for other uses than databases (credentials/keys.ts): HKDF, RFC 5869. */
export function deriveKey(master: MasterKey, label: string, bytes: number): Uint8Array {
  const key = Buffer.from(master.key.reveal(), "base64");
  const info = JSON.stringify(["jitdb", 1, "server", label]);
  return new Uint8Array(hkdfSync("sha256", key, new Uint8Array(), info, bytes));
}
