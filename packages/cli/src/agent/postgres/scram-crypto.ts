// The hash functions of SCRAM, by node:crypto.

import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import type { ScramCrypto } from "@jitdb/shared/postgres/scram/crypto";
import { scramKeyBytes } from "@jitdb/shared/postgres/scram/crypto";

const derive = promisify(pbkdf2);

export const scramCrypto: ScramCrypto = {
  sha256: (data) => createHash("sha256").update(data).digest(),
  hmacSha256: (key, data) => createHmac("sha256", key).update(data).digest(),
  pbkdf2Sha256: (password, salt, iterations) =>
    derive(password, salt, iterations, scramKeyBytes, "sha256"),
  randomBytes: (count) => randomBytes(count),
  timingSafeEqual: (a, b) => timingSafeEqual(a, b),
};
