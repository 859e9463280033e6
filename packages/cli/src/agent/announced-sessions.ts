// Sessions that the gateway has logged in ahead and told this agent of, on the present WebSocket.
// Implements the agent's part of docs/tunnel-protocol.md §12.

import { tunnelLimits } from "@jitdb/shared/tunnel/limits";
import type { OpenMap, SpareMap } from "@jitdb/shared/tunnel/maps";

export class AnnouncedSessions {
  /** By id, in the order of their coming. */
  readonly #spares = new Map<string, SpareMap>();

  add(spare: SpareMap): void {
    this.#spares.set(spare.id, spare);
    for (const id of [...this.#spares.keys()].slice(0, -tunnelLimits.maxSpares)) {
      this.#spares.delete(id);
    }
  }

  delete(id: string): void {
    this.#spares.delete(id);
  }

  clear(): void {
    this.#spares.clear();
  }

  /** One for a client that begins like this, byte for byte; nobody else is given it. Undefined: there is none. */
  take({ kind, engine, grant, startup }: OpenMap): SpareMap | undefined {
    if (kind !== "session") {
      return undefined;
    }
    const spare = [...this.#spares.values()].find(
      (one) =>
        one.engine === engine && one.grant === grant && Buffer.compare(one.startup, startup) === 0,
    );
    if (spare !== undefined) {
      this.#spares.delete(spare.id);
    }
    return spare;
  }
}
