// Passwords of ephemeral users: derived from the master key when needed, never stored (HKDF, RFC 5869).

import { hkdfSync } from "node:crypto";
import { Secret } from "@jitdb/shared/secret";
import type { MasterKey } from "../config/config.ts";

/** What the password of one user is derived from besides its database's key. */
export interface PasswordSubject {
  readonly userName: string;
  /** Raised when the user is to get another password. */
  readonly generation: number;
}

const keyBytes = 32;

/** The key of one database, 32 bytes: all that a gateway elsewhere needs for its own databases. */
export function deriveDatabaseKey(master: MasterKey, databaseName: string): Uint8Array {
  return derive(Buffer.from(master.key.reveal(), "base64"), ["database", databaseName]);
}

/** 43 characters of base64url: printable ASCII, so that SASLprep (RFC 4013) leaves it as it is. */
export function derivePassword(databaseKey: Uint8Array, subject: PasswordSubject): Secret {
  const bytes = derive(databaseKey, ["user", subject.userName, String(subject.generation)]);
  return new Secret(Buffer.from(bytes).toString("base64url"));
}

function derive(key: Uint8Array, path: readonly string[]): Uint8Array {
  // JSON keeps the parts apart: no two paths have the same text.
  const info = JSON.stringify(["jitdb", 1, ...path]);
  return new Uint8Array(hkdfSync("sha256", key, new Uint8Array(), info, keyBytes));
}
