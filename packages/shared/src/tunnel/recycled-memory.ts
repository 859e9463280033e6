// Memory for bytes on their way, used over and over: fresh memory for each read and each message would keep the garbage collector busier
// than everything else is. Knows nothing of streams.

/** Smaller pieces are cut off a slab, which the garbage collector takes when the last of them is forgotten. */
const smallBytes = 4096;
const slabBytes = 65_536;
/** Kept for the next, however much was lent at once. */
const maxSpareBytes = 8_388_608;

/** Blocks are powers of two, so that at most half of one lies idle. What is never given back is garbage, as any memory. */
export class RecycledMemory {
  readonly #lent = new WeakSet<ArrayBufferLike>();
  /** Blocks by the logarithm of their size. */
  readonly #spare: ArrayBuffer[][] = [];
  #spareBytes = 0;
  #slab = new ArrayBuffer(0);
  #slabFill = 0;

  /** So many bytes, at least one, of any content. */
  take(byteLength: number): Uint8Array<ArrayBuffer> {
    if (byteLength < smallBytes) {
      return this.#cut(byteLength);
    }
    const size = 32 - Math.clz32(byteLength - 1);
    const spare = this.#spare[size]?.pop();
    this.#spareBytes -= spare?.byteLength ?? 0;
    const block = spare ?? new ArrayBuffer(2 ** size);
    this.#lent.add(block);
    return new Uint8Array(block, 0, byteLength);
  }

  /** Whether `giveBack` would use the memory of these bytes again. */
  isLent({ buffer, byteLength }: Uint8Array): boolean {
    return byteLength >= smallBytes && this.#lent.has(buffer);
  }

  copy(bytes: Uint8Array): Uint8Array {
    const copy = this.take(bytes.byteLength);
    copy.set(bytes);
    return copy;
  }

  /** The chunks as one piece. */
  join(chunks: readonly Uint8Array[]): Uint8Array {
    let byteLength = 0;
    for (const chunk of chunks) {
      byteLength += chunk.byteLength;
    }
    const joined = this.take(byteLength);
    let offset = 0;
    for (const chunk of chunks) {
      joined.set(chunk, offset);
      offset += chunk.byteLength;
    }
    return joined;
  }

  /** Nobody reads `bytes` any more; what is no whole piece of `take` is left alone. */
  giveBack({ buffer }: Uint8Array): void {
    if (this.#lent.delete(buffer) && this.#spareBytes + buffer.byteLength <= maxSpareBytes) {
      const size = 31 - Math.clz32(buffer.byteLength);
      this.#spare[size] ??= [];
      this.#spare[size].push(buffer as ArrayBuffer);
      this.#spareBytes += buffer.byteLength;
    }
  }

  #cut(byteLength: number): Uint8Array<ArrayBuffer> {
    if (this.#slab.byteLength - this.#slabFill < byteLength) {
      this.#slab = new ArrayBuffer(slabBytes);
      this.#slabFill = 0;
    }
    const piece = new Uint8Array(this.#slab, this.#slabFill, byteLength);
    this.#slabFill += byteLength;
    return piece;
  }
}
