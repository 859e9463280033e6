// Where results go: a stream that may be slower than the database, or go away.

import { once } from "node:events";
import { decodeText } from "@jitdb/shared/postgres/reader";

/** The part of a writable stream that is used here. */
export interface ResultStream extends NodeJS.WritableStream {
  readonly isTTY?: boolean;
  readonly errored?: Error | null;
}

export class Output {
  readonly #stream: ResultStream;
  #pending: (string | Uint8Array)[] = [];
  #isGone = false;

  constructor(stream: ResultStream) {
    this.#stream = stream;
    stream.on("error", () => {
      // `jitdb sql … | head`: the reader has had enough.
      this.#isGone = true;
    });
  }

  /** Whether nobody reads any more. */
  get isGone(): boolean {
    return this.#isGone;
  }

  /** Adds to what the next `flush` writes; bytes are copied where they are kept. */
  push(data: string | Uint8Array): void {
    if (data.length > 0) {
      this.#pending.push(typeof data === "string" ? data : data.slice());
    }
  }

  /** Writes what was added, and resolves when the stream takes more. */
  async flush(): Promise<void> {
    const pending = this.#pending;
    this.#pending = [];
    if (pending.length === 0 || this.#isGone) {
      return;
    }
    const isReady = pending.every((data) => typeof data === "string")
      ? this.#stream.write(this.#safe(pending.join("")))
      : pending.map((data) => this.#stream.write(this.#safe(data))).every(Boolean);
    if (!isReady) {
      // An error ends the wait, too: it is seen above.
      await once(this.#stream, "drain").catch(() => undefined);
    }
  }

  /** SECURITY: data on a screen could move the cursor or fill the clipboard; a file or a program gets it as it is. */
  #safe(data: string | Uint8Array): string | Uint8Array {
    if (this.#stream.isTTY !== true) {
      return data;
    }
    const text = typeof data === "string" ? data : decodeText(data);
    return text.replaceAll(/[^\P{Cc}\n\t]/gu, "\ufffd");
  }
}
