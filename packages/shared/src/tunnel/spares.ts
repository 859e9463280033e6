// Announced sessions by their ids, as both sides remember them. Implements docs/tunnel-protocol.md §12.

import { tunnelLimits } from "./limits.ts";
import type { OpenMap, SpareMap } from "./maps.ts";

/** In the order of their coming. */
export type Spares = Map<string, SpareMap>;

/** Remembers one more, and the newest `maxSpares` of all. */
export function rememberSpare(spares: Spares, spare: SpareMap): void {
  spares.set(spare.id, spare);
  for (const id of [...spares.keys()].slice(0, -tunnelLimits.maxSpares)) {
    spares.delete(id);
  }
}

/** Whether a session was announced for a client that begins like this, byte for byte. */
export function isSpareFor(spare: SpareMap, { engine, grant, startup }: OpenMap): boolean {
  return (
    spare.engine === engine &&
    spare.grant === grant &&
    spare.startup.length === startup.length &&
    spare.startup.every((byte, index) => byte === startup[index])
  );
}
