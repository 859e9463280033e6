// For tests: a hash of a password that is compared with in no time. Each login compares as its account's hash says.

import { argon2Sync, randomBytes } from "node:crypto";
import { encode } from "./passwords.ts";

/** A PHC string of the least that argon2 can be asked for: never outside tests. */
export function quickHash(password: string): string {
  const nonce = randomBytes(16);
  const cost = { memory: 8, passes: 1, parallelism: 1 };
  const tag = argon2Sync("argon2id", { message: password, nonce, tagLength: 32, ...cost });
  return encode(cost, nonce, tag);
}
