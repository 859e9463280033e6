// Sessions that the gateway has logged in ahead and told this agent of, on the present WebSocket.
// Implements the agent's part of docs/tunnel-protocol.md §12.

import type { OpenMap, SpareMap } from "@jitdb/shared/tunnel/maps";
import { isSpareFor, rememberSpare, type Spares } from "@jitdb/shared/tunnel/spares";

export class AnnouncedSessions {
  readonly #spares: Spares = new Map();

  add(spare: SpareMap): void {
    rememberSpare(this.#spares, spare);
  }

  delete(id: string): void {
    this.#spares.delete(id);
  }

  clear(): void {
    this.#spares.clear();
  }

  /** One for a client that begins like this, byte for byte; nobody else is given it. Undefined: there is none. */
  take(open: OpenMap): SpareMap | undefined {
    if (open.kind !== "session") {
      return undefined;
    }
    const spare = [...this.#spares.values()].find((one) => isSpareFor(one, open));
    if (spare !== undefined) {
      this.#spares.delete(spare.id);
    }
    return spare;
  }
}
