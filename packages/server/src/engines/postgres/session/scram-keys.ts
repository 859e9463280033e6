// Keys of SCRAM, so that a user's second login pays no key derivation. Bounded; forgotten with the process.
// A new password comes with a new salt, so no entry is ever stale.

import type { ScramChallenge } from "@jitdb/shared/postgres/scram/client";
import type { ScramCrypto } from "@jitdb/shared/postgres/scram/crypto";
import { deriveKeys, type ScramKeys } from "@jitdb/shared/postgres/scram/verifier";
import type { Secret } from "@jitdb/shared/secret";
import { scramCrypto } from "../scram-crypto.ts";

/** Users at a time; about 200 bytes each. */
const maxEntries = 1024;

export class ScramKeyCache {
  /** By user, salt and iterations; the least recently used first. */
  readonly #keys = new Map<string, Promise<ScramKeys>>();
  readonly #crypto: ScramCrypto;

  constructor(crypto: ScramCrypto = scramCrypto) {
    this.#crypto = crypto;
  }

  /** Logins at the same time share one derivation. */
  async keysFor(user: string, password: Secret, challenge: ScramChallenge): Promise<ScramKeys> {
    const { salt, iterations } = challenge;
    const entry = JSON.stringify([user, Buffer.from(salt).toString("base64"), iterations]);
    const keys =
      this.#keys.get(entry) ?? deriveKeys(this.#crypto, password.reveal(), salt, iterations);
    this.#keys.delete(entry);
    this.#keys.set(entry, keys);
    for (const oldest of this.#keys.keys()) {
      if (this.#keys.size <= maxEntries) {
        break;
      }
      this.#keys.delete(oldest);
    }
    return await keys;
  }
}
