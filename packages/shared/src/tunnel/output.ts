// What a tunnel session has to send, made into WebSocket messages: frames of the tunnel first, then the turns of streams.

import { encodeDataHeader, encodeFrame, type Frame } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";

/** Composes one message at a time: `startMessage`, then `send` while there is room for a turn, then `takeMessage`. */
export class TunnelOutput {
  /** Frames of the tunnel itself. Only the driver's own calls put something in, never a peer's frame. */
  #queued: Uint8Array[] = [];
  /** SECURITY: the one answer owed, however many PINGs came: a flood that reads no answers must not fill memory. */
  #owedAnswer: number | undefined;
  #chunks: Uint8Array[] = [];
  #chunkBytes = 0;

  /** Whether the message holds whatever so many streams may send in one turn. */
  hasRoomForTurns(count: number): boolean {
    return this.#chunkBytes + count * tunnelLimits.maxTurnBytes <= tunnelLimits.maxMessageBytes;
  }

  /** Queues a frame of the tunnel for the next message. */
  queue(frame: Frame): void {
    this.#queued.push(encodeFrame(frame));
  }

  /** Owes the peer an answer to its PING; only the newest is given. */
  oweAnswer(value: number): void {
    this.#owedAnswer = value;
  }

  /** Begins a message with what is queued. */
  startMessage(): void {
    let count = 0;
    for (const bytes of this.#queued) {
      // Any frame of the tunnel is smaller than a turn.
      if (!this.hasRoomForTurns(1)) {
        break;
      }
      this.#push(bytes);
      count += 1;
    }
    this.#queued = this.#queued.slice(count);
    if (this.#owedAnswer !== undefined && this.hasRoomForTurns(1)) {
      this.send({ type: "PING", stream: 0, answer: true, value: this.#owedAnswer });
      this.#owedAnswer = undefined;
    }
  }

  /** Adds a frame to the message; takes over the body of DATA and sends it as it is. */
  send(frame: Frame): void {
    if (frame.type === "DATA") {
      this.#push(encodeDataHeader(frame.stream, frame.position, frame.body.byteLength));
      this.#push(frame.body);
    } else {
      this.#push(encodeFrame(frame));
    }
  }

  /** The message as chunks in order, owned by the caller; null when it is empty. */
  takeMessage(): Uint8Array[] | null {
    if (this.#chunkBytes === 0) {
      return null;
    }
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#chunkBytes = 0;
    return chunks;
  }

  #push(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
    this.#chunkBytes += bytes.byteLength;
  }
}
