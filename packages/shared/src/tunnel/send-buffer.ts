// Bytes of one direction of a stream, from the first that the peer has not acknowledged to the last that was written.

/**
 * Owns what is pushed; what it gives are views, never copies. A cursor stands between what was sent and what was not:
 * `take` moves it on, `rewind` puts it back to where a new WebSocket goes on, `release` forgets what arrived.
 */
export class SendBuffer {
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

  /** Everything that is kept, sent or not. */
  get byteLength(): number {
    return this.#end - this.#released;
  }

  push(chunk: Uint8Array): void {
    if (chunk.byteLength > 0) {
      this.#chunks.push(chunk);
      this.#starts.push(this.#end);
      this.#end += chunk.byteLength;
    }
  }

  /** The next bytes, at least one and at most `maxBytes` (1 or more); undefined when all are sent. They stay here, too. */
  take(maxBytes: number): Uint8Array | undefined {
    const chunk = this.#chunks[this.#next];
    const start = this.#starts[this.#next];
    if (chunk === undefined || start === undefined) {
      return undefined;
    }
    const offset = this.#cursor - start;
    const rest = chunk.byteLength - offset;
    if (rest > maxBytes) {
      this.#cursor += maxBytes;
      return chunk.subarray(offset, offset + maxBytes);
    }
    this.#cursor += rest;
    this.#next += 1;
    return offset === 0 ? chunk : chunk.subarray(offset);
  }

  /** Forgets the bytes below `position`, which is between the last released one and the cursor. */
  release(position: number): void {
    this.#released = position;
    while (this.#first < this.#next && (this.#starts[this.#first + 1] ?? this.#end) <= position) {
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
