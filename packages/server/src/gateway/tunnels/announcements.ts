// What the agent of one tunnel was told of sessions that are logged in ahead, and which of them a client of its may still name.
// Implements the gateway's part of docs/tunnel-protocol.md §12. Knows nothing of the sessions themselves.

import { JitdbError } from "@jitdb/shared/errors";
import { type Random, randomBase32 } from "@jitdb/shared/ids";
import { tunnelLimits } from "@jitdb/shared/tunnel/limits";
import type { OpenMap, SpareMap } from "@jitdb/shared/tunnel/maps";
import { isSpareFor, rememberSpare, type Spares } from "@jitdb/shared/tunnel/spares";
import type { StreamCarrier } from "./stream-end.ts";

export class Announcements {
  readonly #tunnel: Pick<StreamCarrier, "session" | "schedule">;
  readonly #random: Random;
  /** Those too that were taken back, since a client that has one may be on its way. */
  readonly #told: Spares = new Map();

  constructor(tunnel: Pick<StreamCarrier, "session" | "schedule">, random: Random) {
    this.#tunnel = tunnel;
    this.#random = random;
  }

  /** A client may have been greeted whose OPEN is still to come, or was lost with the WebSocket. */
  get areOpen(): boolean {
    return this.#told.size > 0;
  }

  /** Tells the agent of a session. Undefined: it does not hear of it. */
  announce(session: Omit<SpareMap, "id">): SpareMap | undefined {
    const { startup, greeting } = session;
    if (startup.length + greeting.length > tunnelLimits.maxSpareBytes) {
      return undefined;
    }
    const spare = { id: `spr_${randomBase32(this.#random, 26)}`, ...session };
    if (!this.#tunnel.session.spare(spare)) {
      return undefined;
    }
    this.#tunnel.schedule();
    rememberSpare(this.#told, spare);
    return spare;
  }

  /** The session is there no longer, or is another client's. */
  withdraw({ id }: SpareMap): void {
    this.#tunnel.session.spent({ id });
    this.#tunnel.schedule();
  }

  /**
   * What the client of an OPEN was greeted with, once. Undefined: it was not greeted.
   * SECURITY: an agent names nothing but what its own tunnel was told, and for nothing but what it was told for. It gets a key of
   * cancel requests by that and no session: whether it may have one is asked anew.
   * @throws JitdbError `tunnel.lost`
   */
  claim(open: OpenMap): SpareMap | undefined {
    const { spare: id } = open;
    if (id === undefined) {
      return undefined;
    }
    const spare = this.#told.get(id);
    if (spare === undefined || !isSpareFor(spare, open)) {
      throw new JitdbError("tunnel.lost", "The session that this client was greeted with is gone.");
    }
    this.#told.delete(id);
    return spare;
  }
}
