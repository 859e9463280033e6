// A WebSocket for bulk: `ws` makes it, ends it and answers its control frames; binary messages go past it, through memory that is
// used over and over. Knows nothing of what they say.

import { randomFillSync } from "node:crypto";
import type { Socket } from "node:net";
import type { Inlet } from "@jitdb/shared/inlet";
import { RecycledMemory } from "@jitdb/shared/tunnel/recycled-memory";
import { encodeMessage, FastLane } from "@jitdb/shared/websocket/fast-lane";
import { WebSocket } from "ws";

/** Random bytes for so many masks are made at once. */
const masksAtOnce = 1024;

export class FastWebSocket extends WebSocket {
  /** Received messages of four kilobytes and more stand here; whoever is done with one may give it back. */
  readonly memory = new RecycledMemory();
  readonly #masks = new Uint8Array(4 * masksAtOnce);
  #nextMask = masksAtOnce;
  #socket: Socket | undefined;

  /** Takes the hot path over, once the handshake is done; without it everything goes through `ws`. `socket` is what carries this WebSocket, and reads through `inlet`. */
  takeOver(socket: Socket, inlet: Inlet, maxMessageBytes: number): void {
    this.#socket = socket;
    const listeners = socket.listeners("data");
    const lane = new FastLane({
      isMasked: false,
      maxMessageBytes,
      memory: this.memory,
      onMessage: (message) => this.emit("message", message, true),
      onOther: (bytes) => {
        for (const listener of listeners) {
          listener.call(socket, Buffer.from(bytes));
        }
      },
    });
    inlet.read((bytes) => lane.push(bytes));
  }

  /** Sends chunks as one binary message. They are the caller's again when this returns; `onSent` comes when it is written. */
  sendChunks(chunks: readonly Uint8Array[], onSent: () => void): void {
    // Nothing follows a close (RFC 6455 §5.5.1); what was not sent, the tunnel knows.
    if (this.readyState !== this.OPEN) {
      return;
    }
    const { memory } = this;
    const socket = this.#socket;
    const frame =
      socket === undefined ? memory.join(chunks) : encodeMessage(chunks, memory, this.#mask());
    const written = (error?: Error | null) => {
      memory.giveBack(frame);
      if (!error) {
        onSent();
      }
    };
    if (socket === undefined) {
      this.send(frame, written);
    } else {
      socket.write(frame, written);
    }
  }

  /** SECURITY: nobody can foresee it, so nobody chooses what proxies see on the wire (RFC 6455 §10.3). */
  #mask(): Uint8Array {
    if (this.#nextMask === masksAtOnce) {
      randomFillSync(this.#masks);
      this.#nextMask = 0;
    }
    this.#nextMask += 1;
    return this.#masks.subarray(4 * this.#nextMask - 4, 4 * this.#nextMask);
  }
}
