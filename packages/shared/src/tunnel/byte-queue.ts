// Bytes waiting in order, kept as the chunks they came in.

/** A first-in, first-out queue of bytes. Owns what is pushed; what it gives are views, never copies. */
export class ByteQueue {
  #chunks: Uint8Array[] = [];
  /** Index of the first chunk that is not taken; taken ones are cut off in batches, so that a take costs no shift. */
  #first = 0;
  #byteLength = 0;

  get byteLength(): number {
    return this.#byteLength;
  }

  push(chunk: Uint8Array): void {
    if (chunk.byteLength > 0) {
      this.#chunks.push(chunk);
      this.#byteLength += chunk.byteLength;
    }
  }

  /** The next bytes, at least one and at most `maxBytes` (1 or more); undefined when the queue is empty. */
  take(maxBytes: number): Uint8Array | undefined {
    const chunk = this.#chunks[this.#first];
    if (chunk === undefined) {
      return undefined;
    }
    if (chunk.byteLength > maxBytes) {
      this.#chunks[this.#first] = chunk.subarray(maxBytes);
      this.#byteLength -= maxBytes;
      return chunk.subarray(0, maxBytes);
    }
    this.#first += 1;
    this.#byteLength -= chunk.byteLength;
    // Half of the array at a time: each chunk moves at most once on average.
    if (this.#first * 2 >= this.#chunks.length) {
      this.#chunks = this.#chunks.slice(this.#first);
      this.#first = 0;
    }
    return chunk;
  }

  clear(): void {
    this.#chunks = [];
    this.#first = 0;
    this.#byteLength = 0;
  }
}
