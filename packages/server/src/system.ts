// Time and randomness of the real world, for those who start things.

import { randomBytes } from "node:crypto";
import type { Clock, Random } from "@jitdb/shared/ids";

export function systemPorts(): { readonly clock: Clock; readonly random: Random } {
  return {
    clock: { now: () => Date.now() },
    random: { bytes: (count) => new Uint8Array(randomBytes(count)) },
  };
}
