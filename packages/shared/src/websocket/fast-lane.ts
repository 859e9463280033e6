// The fast lane of a WebSocket: whole binary messages, which is all that a tunnel consists of, straight from the bytes that a socket
// brings. Everything else, right or wrong, is passed on as it came to the library that made the WebSocket. Source: RFC 6455 §5.2.

import type { RecycledMemory } from "../tunnel/recycled-memory.ts";
import { applyMask } from "./mask.ts";

/** A frame's first byte: it is the last of its message (FIN), and its payload is binary. */
const binaryMessage = 0x82;
const close = 0x88;
const pong = 0x8a;
/** Bytes of the longest header: two, eight of the length, four of the mask. */
const maxHeaderBytes = 14;
const shortBytes = 4096;

export interface FastLaneOptions {
  /** Whether the peer is a client, whose frames are masked. */
  readonly isMasked: boolean;
  /** Longer messages are passed on, to be refused. */
  readonly maxMessageBytes: number;
  /** Where long messages stand. */
  readonly memory: RecycledMemory;
  /** Gets each binary message, to keep, or to give back to `memory`. */
  readonly onMessage: (message: Uint8Array) => void;
  /** Gets the bytes of all other frames, in order with the messages. */
  readonly onOther: (bytes: Uint8Array) => void;
}

export class FastLane {
  readonly #options: FastLaneOptions;
  readonly #header = new Uint8Array(maxHeaderBytes);
  #headerFill = 0;
  /** Of the message or control frame that is not whole yet. */
  #body: Uint8Array | undefined;
  #bodyFill = 0;
  /** Nothing that comes is ours any more. */
  #isLeft = false;

  constructor(options: FastLaneOptions) {
    this.#options = options;
  }

  /** Nothing that comes is for the fast lane any more: a frame came that has to be refused, or a close. */
  get isLeft(): boolean {
    return this.#isLeft;
  }

  /** Reads a chunk; keeps none of it. */
  push(chunk: Uint8Array): void {
    let offset = 0;
    while (offset < chunk.byteLength && !this.#isLeft) {
      offset =
        this.#body === undefined ? this.#takeHeader(chunk, offset) : this.#fill(chunk, offset);
    }
    if (offset < chunk.byteLength) {
      this.#options.onOther(offset === 0 ? chunk : chunk.subarray(offset));
    }
  }

  /** As much of a header as there is, and the payload behind it if the chunk has all of it. */
  #takeHeader(chunk: Uint8Array, start: number): number {
    let offset = start;
    let missing = this.#missingHeaderBytes();
    while (missing > 0 && offset < chunk.byteLength) {
      this.#header[this.#headerFill] = chunk[offset] ?? 0;
      this.#headerFill += 1;
      offset += 1;
      missing = this.#missingHeaderBytes();
    }
    if (missing > 0) {
      return offset;
    }
    if (!this.#isOurs()) {
      this.#leave();
      return offset;
    }
    this.#body = this.#memoryFor(this.#payloadBytes());
    return this.#fill(chunk, offset);
  }

  /** Short ones get memory of their size: what is kept of one keeps nothing else. */
  #memoryFor(length: number): Uint8Array {
    return length < shortBytes ? new Uint8Array(length) : this.#options.memory.take(length);
  }

  #missingHeaderBytes(): number {
    return this.#headerFill < 2 ? 2 - this.#headerFill : this.#headerBytes() - this.#headerFill;
  }

  /** Known from the second byte on. */
  #headerBytes(): number {
    const second = this.#header[1] ?? 0;
    const short = second & 0x7f;
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
    return 2 + lengthBytes + (second & 0x80 ? 4 : 0);
  }

  #payloadBytes(): number {
    const header = this.#header;
    const short = (header[1] ?? 0) & 0x7f;
    const lengthBytes = short === 127 ? 8 : short === 126 ? 2 : 0;
    let length = lengthBytes === 0 ? short : 0;
    for (const byte of header.subarray(2, 2 + lengthBytes)) {
      length = length * 256 + byte;
    }
    return length;
  }

  /** A binary message within its limit or a control frame, masked as it has to be. What is wrong with another one is not said here. */
  #isOurs(): boolean {
    const [first = 0, second = 0] = this.#header;
    const isControl = first >= close && first <= pong;
    const mostBytes = isControl ? 125 : this.#options.maxMessageBytes;
    return (
      (first === binaryMessage || isControl) &&
      second >= 0x80 === this.#options.isMasked &&
      this.#payloadBytes() <= mostBytes
    );
  }

  #fill(chunk: Uint8Array, offset: number): number {
    const body = this.#body ?? chunk;
    const end = Math.min(chunk.byteLength, offset + body.byteLength - this.#bodyFill);
    body.set(chunk.subarray(offset, end), this.#bodyFill);
    this.#bodyFill += end - offset;
    if (this.#bodyFill === body.byteLength) {
      this.#finish(body);
    }
    return end;
  }

  #finish(body: Uint8Array): void {
    const headerBytes = this.#headerFill;
    const isMessage = this.#header[0] === binaryMessage;
    const { isMasked, onMessage, onOther } = this.#options;
    this.#headerFill = 0;
    this.#body = undefined;
    this.#bodyFill = 0;
    if (isMessage) {
      if (isMasked) {
        applyMask(body, this.#header.subarray(headerBytes - 4, headerBytes));
      }
      onMessage(body);
      return;
    }
    // Nothing comes behind a close.
    this.#isLeft = this.#header[0] === close;
    const frame = new Uint8Array(headerBytes + body.byteLength);
    frame.set(this.#header.subarray(0, headerBytes));
    frame.set(body, headerBytes);
    onOther(frame);
  }

  #leave(): void {
    this.#isLeft = true;
    this.#options.onOther(this.#header.slice(0, this.#headerFill));
  }
}

/** A binary message as the bytes of its frame, in memory to be given back when they are written; `mask` is for those of a client. */
export function encodeMessage(
  chunks: readonly Uint8Array[],
  memory: RecycledMemory,
  mask?: Uint8Array,
): Uint8Array {
  let payloadBytes = 0;
  for (const chunk of chunks) {
    payloadBytes += chunk.byteLength;
  }
  const lengthEnd = payloadBytes < 126 ? 2 : payloadBytes < 65_536 ? 4 : 10;
  const headerBytes = lengthEnd + (mask === undefined ? 0 : 4);
  const frame = memory.take(headerBytes + payloadBytes);
  const short = lengthEnd === 2 ? payloadBytes : lengthEnd === 4 ? 126 : 127;
  frame[0] = binaryMessage;
  frame[1] = short | (mask === undefined ? 0 : 0x80);
  let rest = payloadBytes;
  for (let index = lengthEnd - 1; index >= 2; index -= 1) {
    frame[index] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  let offset = headerBytes;
  for (const chunk of chunks) {
    frame.set(chunk, offset);
    offset += chunk.byteLength;
  }
  if (mask !== undefined) {
    frame.set(mask, lengthEnd);
    applyMask(frame.subarray(headerBytes), mask);
  }
  return frame;
}
