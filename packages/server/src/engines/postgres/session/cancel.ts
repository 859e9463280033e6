// Cancel requests: each on a connection of its own, which the server closes when it has passed the request on.
// Source: PostgreSQL manual, "Canceling Requests in Progress".

import { timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import type { Random } from "@jitdb/shared/ids";
import type { BackendKeyData } from "@jitdb/shared/postgres/backend";
import { encodeCancelRequest, parseStartupPacket } from "@jitdb/shared/postgres/startup";
import type { DatabaseConfig } from "../../../config/config.ts";
import { connectToServer, unreachable } from "./connection.ts";

const deadlineMs = 5000;

/** What names a session in cancel requests. Kept for as long as the session, so it keeps text: an array of bytes takes 200 more. */
export class CancelKey {
  readonly #processId: number;
  /** A character a byte. */
  readonly #secret: string;

  /** @param data is not kept */
  constructor({ processId, secret }: BackendKeyData) {
    this.#processId = processId;
    this.#secret = Buffer.from(secret).toString("latin1");
  }

  /**
   * What a client is told: the server's true process id, which programs ask the server about, and a secret of ours, as long as the
   * server's. SECURITY: it works through the gateway, inside its grant, and nowhere else (invariant 16).
   * @param key the server's
   */
  static create({ processId, secret }: BackendKeyData, random: Random): CancelKey {
    return new CancelKey({ processId, secret: random.bytes(secret.length) });
  }

  get data(): BackendKeyData {
    return { processId: this.#processId, secret: Buffer.from(this.#secret, "latin1") };
  }

  /**
   * Whether a client's CancelRequest is for this key.
   * @throws JitdbError `postgres.protocol` for a packet that is malformed
   */
  isNamedBy(packet: Uint8Array): boolean {
    const request = parseStartupPacket(packet);
    const { processId, secret } = this.data;
    return (
      request.kind === "cancel" &&
      request.processId === processId &&
      request.secret.length === secret.length &&
      timingSafeEqual(request.secret, secret)
    );
  }
}

/**
 * Resolves when the server has closed the connection: the signal is sent by then.
 * @param key of the server, never the client's
 * @throws JitdbError `database.unavailable`, `database.misconfigured`
 */
export async function cancelBackend(database: DatabaseConfig, key: BackendKeyData): Promise<void> {
  const signal = AbortSignal.timeout(deadlineMs);
  const { socket, transport } = await connectToServer(database, signal);
  try {
    // Nothing comes but the end, which only a flowing socket tells.
    socket.resume();
    socket.write(encodeCancelRequest(key));
    await once(socket, "close", { signal });
  } catch (error) {
    throw unreachable(database, error);
  } finally {
    transport.destroy();
  }
}
