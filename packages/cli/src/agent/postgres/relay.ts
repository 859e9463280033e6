// One client's connection once it is let in: the exact bytes both ways, with back-pressure. Walks the server's messages
// for two things only: the cancel key, and where an error of ours may stand.

import type { Socket } from "node:net";
import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import { type BackendKeyData, parseBackendKeyData } from "@jitdb/shared/postgres/backend";
import { BodyCollector, MessageWalker } from "@jitdb/shared/postgres/decoder";
import { backendMessages, bulkMessages, postgresLimits } from "@jitdb/shared/postgres/messages";
import { encodeEnd, encodeRefusal } from "@jitdb/shared/postgres/native-error";
import { nursery } from "../memory.ts";
import type { AgentStream, StreamReceiver } from "../stream.ts";

/** How long a client may take to read why it ends before its socket is cut. */
const farewellMs = 2000;

const nothing = new Uint8Array(0);
const maxKeyLength = 2 * postgresLimits.minMessageLength + postgresLimits.maxCancelKeyBytes;

export interface RelayOptions {
  /** Bytes that the client sent before it was let in. */
  readonly early: Uint8Array;
  /** The database has told the client the key of its cancel requests. */
  readonly onKey: (key: BackendKeyData) => void;
  /** The client's socket is gone. */
  readonly onClose: () => void;
}

export class Relay implements StreamReceiver {
  readonly #client: Socket;
  readonly #options: RelayOptions;
  readonly #walker = new MessageWalker("backend", bulkMessages);
  readonly #keys = new BodyCollector(maxKeyLength);
  #stream: AgentStream | undefined;
  /** The client is in, or has been greeted as one that is. */
  #isOpen = false;
  /** No more is relayed: the stream is over, or the client was told an error. */
  #isOver = false;
  #farewell: NodeJS.Timeout | undefined;

  /** Takes over a client that has proved what it had to. */
  constructor(client: Socket, options: RelayOptions) {
    this.#client = client;
    this.#options = options;
    client.on("close", () => this.#onClientClose());
  }

  /** The stream that this relay receives. */
  bind(stream: AgentStream): void {
    this.#stream = stream;
    if (this.#isOver || this.#client.destroyed) {
      this.#abandon();
    }
  }

  opened(): void {
    const client = this.#client;
    this.#isOpen = true;
    this.#forward(this.#options.early);
    client.on("data", (bytes) => {
      this.#forward(bytes);
      nursery.filled(bytes.byteLength);
    });
    client.on("end", () => {
      if (!this.#isOver) {
        this.#stream?.close();
      }
    });
    client.resume();
  }

  data(bytes: Uint8Array): void {
    if (this.#isOver) {
      return;
    }
    try {
      this.#relay(bytes);
    } catch (thrown) {
      const error = toJitdbError(thrown);
      this.#stream?.reset(error);
      this.#cut();
    }
  }

  writable(): void {
    this.#client.resume();
  }

  peerClosed(): void {
    this.#finish();
  }

  ended(error: JitdbError | undefined): void {
    if (error === undefined) {
      this.#finish();
    } else {
      this.end(error);
    }
  }

  /**
   * Ends the client with an error in PostgreSQL's form if the database's last message is whole; in the middle of one the
   * socket is cut, since anything else would be read as part of it.
   */
  end(error: JitdbError): void {
    if (this.#isOver) {
      return;
    }
    this.#stream?.reset(error);
    if (this.#walker.isAtEnd) {
      this.#client.write(this.#isOpen ? encodeEnd(error) : encodeRefusal(error));
      this.#finish();
      this.#farewell = setTimeout(() => this.#client.destroy(), farewellMs);
    } else {
      this.#cut();
    }
  }

  /** What comes after the end is dropped: it is read only to see the client close. */
  #forward(bytes: Uint8Array): void {
    if (!this.#isOver && bytes.byteLength > 0 && this.#stream?.write(bytes) === false) {
      this.#client.pause();
    }
  }

  #relay(bytes: Uint8Array): void {
    this.#walker.push(bytes);
    for (let segment = this.#walker.next(); segment; segment = this.#walker.next()) {
      if (segment.type === backendMessages.BackendKeyData) {
        this.#collectKey(this.#keys.add(bytes, segment));
      }
    }
    this.#write(bytes);
  }

  /** The bytes are consumed when the system has them all, and their memory is free for what comes next. */
  #write(bytes: Uint8Array): void {
    const client = this.#client;
    client.write(bytes);
    if (client.writableLength === 0 && !client.destroyed) {
      // At once, as nearly always: a callback would cost a short answer as much as relaying it does.
      this.#stream?.consumed(bytes);
      return;
    }
    // Written behind them.
    client.write(nothing, (failure) => {
      if (!failure) {
        this.#stream?.consumed(bytes);
      }
    });
  }

  #collectKey(body: Uint8Array | undefined): void {
    if (body !== undefined) {
      const { processId, secret } = parseBackendKeyData(body);
      this.#options.onKey({ processId, secret: secret.slice() });
    }
  }

  /** Closes the client behind what was written to it, however slowly it reads. */
  #finish(): void {
    if (this.#isOver) {
      return;
    }
    this.#isOver = true;
    // Its own half of the stream is of no use any more, and the gateway may free what it holds.
    this.#stream?.close();
    this.#client.resume();
    this.#client.end();
  }

  #cut(): void {
    this.#isOver = true;
    this.#client.destroy();
  }

  #onClientClose(): void {
    clearTimeout(this.#farewell);
    if (!this.#isOver) {
      this.#isOver = true;
      this.#abandon();
    }
    this.#options.onClose();
  }

  #abandon(): void {
    this.#stream?.reset(new JitdbError("local.interrupted", "The client closed its connection."));
  }
}
