// What a tunnel session is told at its start, and with each WebSocket.

import type { Secret } from "../secret.ts";
import type { HelloMap } from "./maps.ts";
import type { Recycle } from "./send-buffer.ts";

export interface TunnelSessionOptions {
  readonly role: "agent" | "gateway";
  /** Name and version of this program, for the peer's log. */
  readonly software: string;
  /** Credit that each stream begins with, towards this side; `windowBytes` of the limits where absent. */
  readonly windowBytes?: number;
  /** What credit grows to; `maxWindowBytes` of the limits where absent. */
  readonly maxWindowBytes?: number;
  /** Gateway only: streams that the agent may keep open at once; `maxStreams` of the limits where absent. */
  readonly maxStreams?: number;
  /**
   * Gets back each chunk that was written, once the peer has acknowledged it: its memory may be used again.
   * SECURITY: a peer may acknowledge what it has not got, as soon as `takeOutput` gave it. So a driver with this copies what it takes before
   * it receives again; chunks that waited in a socket would carry whatever their memory holds next.
   */
  readonly recycle?: Recycle | undefined;
  /** Gateway only: what the agent may resume the tunnel with. */
  readonly ticket?: HelloMap["ticket"];
}

/** How a new WebSocket begins. */
export type Attachment =
  /** Agent: resumes with the ticket of the last HELLO. */
  | { readonly resume: Secret }
  /** Gateway: goes on with what the agent asked for; the ticket is for the next time. */
  | { readonly ticket: HelloMap["ticket"] };
