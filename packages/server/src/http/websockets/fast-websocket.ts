// A WebSocket for bulk: `ws` makes it, ends it and answers its control frames; binary messages go past it, through memory that is
// used over and over. Knows nothing of what they say.

import type { Duplex } from "node:stream";
import { RecycledMemory } from "@jitdb/shared/tunnel/recycled-memory";
import { encodeMessage, FastLane } from "@jitdb/shared/websocket/fast-lane";
import { WebSocket } from "ws";
import { nursery } from "../../memory.ts";

/** One for all: what each keeps for its next message would come together. */
const memory = new RecycledMemory();

export class FastWebSocket extends WebSocket {
  /** Received messages of four kilobytes and more stand here; whoever is done with one may give it back. */
  readonly memory = memory;
  #socket: Duplex | undefined;

  /** Takes the hot path over, once the handshake is done; without it everything goes through `ws`. */
  takeOver(socket: Duplex, maxMessageBytes: number): void {
    this.#socket = socket;
    const listeners = socket.listeners("data");
    const lane = new FastLane({
      isMasked: true,
      maxMessageBytes,
      memory,
      onMessage: (message) => this.emit("message", message, true),
      onOther: (bytes) => {
        for (const listener of listeners) {
          listener.call(socket, Buffer.from(bytes));
        }
      },
    });
    const push = (bytes: Uint8Array) => {
      lane.push(bytes);
      nursery.filled(bytes.byteLength);
      if (lane.isLeft) {
        // From here on `ws` reads by itself: it knows when to stop.
        socket.off("data", push);
        for (const listener of listeners) {
          socket.on("data", listener as (bytes: Uint8Array) => void);
        }
      }
    };
    socket.removeAllListeners("data");
    socket.on("data", push);
  }

  /** Sends chunks as one binary message. They are the caller's again when this returns; `onSent` comes when it is written, or never will be. */
  sendChunks(chunks: readonly Uint8Array[], onSent: () => void): void {
    // Nothing follows a close (RFC 6455 §5.5.1); what was not sent, the tunnel knows.
    if (this.readyState !== this.OPEN) {
      return;
    }
    const socket = this.#socket;
    const frame = socket === undefined ? memory.join(chunks) : encodeMessage(chunks, memory);
    const written = () => {
      memory.giveBack(frame);
      onSent();
    };
    if (socket === undefined) {
      this.send(frame, written);
    } else {
      socket.write(frame, written);
    }
  }
}
