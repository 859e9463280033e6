// Bytes of one direction of a stream, from the first that the peer has not acknowledged to the last that was written.

import { tunnelLimits } from "./limits.ts";

const nothing = new Uint8Array(0);

/** Gets back a chunk that is kept no longer. */
export type Recycle = (chunk: Uint8Array) => void;

/**
 * Owns what is pushed; what it gives are views, never copies. A cursor stands between what was sent and what was not:
 * `take` moves it on, `rewind` puts it back to where a new WebSocket goes on, `release` forgets what arrived.
 */
export class SendBuffer {
  readonly #recycle: Recycle;
  #chunks: Uint8Array[] = [];
  /** Position of the first byte of each chunk. */
  #starts: number[] = [];
  /** Index of the first chunk that is kept; released ones are cut off in batches, so that a release costs no shift. */
  #first = 0;
  /** Index of the chunk in which the cursor stands, or the one behind the last. */
  #next = 0;
  #released = 0;
  #cursor = 0;
  #end = 0;

  constructor(recycle: Recycle = ignore) {
    this.#recycle = recycle;
  }

  /** What stands below is forgotten. */
  get released(): number {
    return this.#released;
  }

  /** Where the next byte to be sent stands. */
  get cursor(): number {
    return this.#cursor;
  }

  /** Where the next byte to be written will stand. */
  get end(): number {
    return this.#end;
  }

  get unsentBytes(): number {
    return this.#end - this.#cursor;
  }

  /** Memory for what is kept, sent or not: chunks as a whole, and what each costs besides. */
  get keptBytes(): number {
    const count = this.#chunks.length - this.#first;
    const bytes = this.#end - (this.#starts[this.#first] ?? this.#end);
    return bytes + count * tunnelLimits.chunkCostBytes;
  }

  push(chunk: Uint8Array): void {
    if (chunk.byteLength > 0) {
      this.#chunks.push(chunk);
      this.#starts.push(this.#end);
      this.#end += chunk.byteLength;
    }
  }

  /** The next bytes, at most `maxBytes`; none when all are sent. They stay here, too. */
  take(maxBytes: number): Uint8Array[] {
    const taken: Uint8Array[] = [];
    const stop = Math.min(this.#cursor + maxBytes, this.#end);
    while (this.#cursor < stop) {
      const chunk = this.#chunks[this.#next] ?? nothing;
      const offset = this.#cursor - (this.#starts[this.#next] ?? 0);
      const until = Math.min(chunk.byteLength, offset + stop - this.#cursor);
      const isWhole = offset === 0 && until === chunk.byteLength;
      taken.push(isWhole ? chunk : chunk.subarray(offset, until));
      this.#cursor += until - offset;
      this.#next += until === chunk.byteLength ? 1 : 0;
    }
    return taken;
  }

  /** Forgets the bytes below `position`, which is between the last released one and the cursor. */
  release(position: number): void {
    this.#released = position;
    while (this.#first < this.#next && (this.#starts[this.#first + 1] ?? this.#end) <= position) {
      this.#recycle(this.#chunks[this.#first] ?? nothing);
      this.#chunks[this.#first] = nothing;
      this.#first += 1;
    }
    // Half of the array at a time: each chunk moves at most once on average.
    if (this.#first > 0 && this.#first * 2 >= this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#first);
      this.#starts = this.#starts.slice(this.#first);
      this.#next -= this.#first;
      this.#first = 0;
    }
  }

  /** What was sent and is not released counts as unsent again. */
  rewind(): void {
    this.#cursor = this.#released;
    this.#next = this.#first;
  }

  /** Forgets everything; positions stay. */
  clear(): void {
    this.#chunks = [];
    this.#starts = [];
    this.#first = 0;
    this.#next = 0;
    this.#end = this.#cursor;
    this.#released = this.#cursor;
  }
}

function ignore(): void {}
