// Fresh memory that nobody needs any more as soon as it is read: Node takes some for each read of a socket that it accepted, and has no way
// to be given other. V8 counts those bytes against the whole heap, and collects all of it once for every ten megabytes, although only the
// young ones are garbage. Knows nothing of sockets.

import type { Collector } from "./collector.ts";

/** Collecting the young ones of them takes half a millisecond; with more of them V8 comes first. */
const bytesPerCollection = 4 * 1024 * 1024;

/** One for a program. */
export class Nursery {
  readonly #collector: Pick<Collector, "collectYoung">;
  #freshBytes = 0;

  constructor(collector: Pick<Collector, "collectYoung">) {
    this.#collector = collector;
  }

  /** So many bytes came in fresh memory. */
  filled(byteCount: number): void {
    this.#freshBytes += byteCount;
    if (this.#freshBytes >= bytesPerCollection) {
      this.#freshBytes = 0;
      this.#collector.collectYoung();
    }
  }
}
