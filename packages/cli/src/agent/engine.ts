// What an engine gives the agent. Engines stand side by side, with the same file names as in the server; another one is a
// folder and a line in the list.

import type { Socket } from "node:net";
import type { GrantView } from "@jitdb/shared/api/access";
import type { JitdbError } from "@jitdb/shared/errors";
import type { Secret } from "@jitdb/shared/secret";
import { postgresEngine } from "./postgres/engine.ts";
import type { OpenStream } from "./stream.ts";

/** How a client came in: by loopback TCP, which every user of the machine reaches, or by the private socket. */
export type Door = "tcp" | "socket";

export interface FrontPorts {
  readonly openStream: OpenStream;
  /** What clients on TCP have to prove. */
  readonly password: Secret;
}

/** The database as local clients see it. */
export interface Front {
  /** Serves a client until its end; takes the socket over, which allows half-open. Never throws. */
  accept(socket: Socket, door: Door): void;
  /** Tells every client why it ends, in the database's own words, and resolves when all are gone. */
  close(error: JitdbError): Promise<void>;
}

export interface Engine {
  readonly name: GrantView["engine"];
  /** The file name of a Unix socket, as the engine's clients look for it. */
  socketName(port: number): string;
  createFront(ports: FrontPorts): Promise<Front>;
}

const engines: Readonly<Record<GrantView["engine"], Engine>> = { postgres: postgresEngine };

export function engineOf(grant: Pick<GrantView, "engine">): Engine {
  return engines[grant.engine];
}
