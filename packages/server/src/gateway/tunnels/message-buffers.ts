// Memory for large WebSocket messages, used over and over: fresh memory for each would keep the garbage collector at work.

import { tunnelLimits } from "@jitdb/shared/tunnel/limits";

/** Below this, node's own pool is as good. */
const smallBytes = 4096;
/** Kept for the next messages, whatever was lent at once. */
const maxSpare = 8;

export class MessageBuffers {
  readonly #spare: Buffer[] = [];

  /** The chunks as one message, with what has to be called when it is written. */
  join(chunks: readonly Uint8Array[]): {
    readonly message: Uint8Array;
    readonly release: () => void;
  } {
    const [only] = chunks;
    if (chunks.length === 1 && only !== undefined) {
      return { message: only, release: nothing };
    }
    const length = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (length <= smallBytes) {
      return { message: Buffer.concat(chunks, length), release: nothing };
    }
    const buffer = this.#spare.pop() ?? Buffer.allocUnsafeSlow(tunnelLimits.maxMessageBytes);
    let offset = 0;
    for (const chunk of chunks) {
      buffer.set(chunk, offset);
      offset += chunk.byteLength;
    }
    return { message: buffer.subarray(0, length), release: () => this.#keep(buffer) };
  }

  #keep(buffer: Buffer): void {
    if (this.#spare.length < maxSpare) {
      this.#spare.push(buffer);
    }
  }
}

function nothing(): void {}
