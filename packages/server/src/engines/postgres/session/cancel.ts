// Cancel requests: each on a connection of its own, which the server closes when it has passed the request on.
// Source: PostgreSQL manual, "Canceling Requests in Progress".

import { once } from "node:events";
import type { BackendKeyData } from "@jitdb/shared/postgres/backend";
import { encodeCancelRequest } from "@jitdb/shared/postgres/startup";
import type { DatabaseConfig } from "../../../config/config.ts";
import { connectToServer, unreachable } from "./connection.ts";

const deadlineMs = 5000;

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
