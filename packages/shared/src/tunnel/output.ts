// What a tunnel session has to send, made into WebSocket messages: frames of the tunnel first, then the turns of streams.

import { encodeDataHeader, encodeFrame, type Frame } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";

/** Where a stream sends to. */
export interface StreamSender {
  send(frame: Frame): void;
  /** Sends chunks as the body of one DATA frame, and takes them over as they are; `byteCount` is their sum. */
  sendData(
    stream: number,
    position: number,
    chunks: readonly Uint8Array[],
    byteCount: number,
  ): void;
}

/** Composes one message at a time: `startMessage`, then `send` while there is room for a turn, then `takeMessage`. */
export class TunnelOutput implements StreamSender {
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

  get byteLength(): number {
    return this.#chunkBytes;
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
  }

  /** Adds a frame to the message. */
  send(frame: Frame): void {
    this.#push(encodeFrame(frame));
  }

  /** Adds a DATA frame to the message, without a copy of its bytes. */
  sendData(
    stream: number,
    position: number,
    chunks: readonly Uint8Array[],
    byteCount: number,
  ): void {
    this.#push(encodeDataHeader(stream, position, byteCount));
    for (const chunk of chunks) {
      this.#push(chunk);
    }
  }

  /** The message as chunks in order, owned by the caller; null when it is empty. */
  takeMessage(): Uint8Array[] | null {
    // Behind the bytes that it measures: those that the peer's credit, come with its question, has set free.
    if (this.#owedAnswer !== undefined) {
      this.send({ type: "PING", stream: 0, answer: true, value: this.#owedAnswer });
      this.#owedAnswer = undefined;
    }
    if (this.#chunkBytes === 0) {
      return null;
    }
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#chunkBytes = 0;
    return chunks;
  }

  /** Forgets everything: the WebSocket is gone. */
  clear(): void {
    this.#queued = [];
    this.#owedAnswer = undefined;
  }

  #push(bytes: Uint8Array): void {
    this.#chunks.push(bytes);
    this.#chunkBytes += bytes.byteLength;
  }
}
