// Where the bytes of a connection come in: one memory for all reads of all connections. Knows nothing of messages.

import type { OnReadOpts, Socket } from "node:net";

/** One for all connections: between a read and what is made of it the loop does nothing else. */
const readBuffer = Buffer.allocUnsafeSlow(256 * 1024);

/**
 * Where a socket's bytes come in. Node's own way is fresh memory for each read, and in bulk that keeps the garbage collector
 * busier than everything else.
 */
export class Inlet {
  readonly onread: OnReadOpts = {
    buffer: readBuffer,
    callback: (count) => this.#come(readBuffer.subarray(0, count)),
  };
  #socket: Socket | undefined;
  #take: ((bytes: Uint8Array) => void) | undefined;

  /** The socket that was made with `onread`. */
  bind(socket: Socket): void {
    this.#socket = socket;
  }

  /** As {@link import("./connection.ts").Connection.read}. */
  read(take: (bytes: Uint8Array) => void): void {
    this.#take = take;
    this.#socket?.removeAllListeners("data").on("data", take);
  }

  /** False: the socket reads no more until it is asked to. */
  #come(bytes: Uint8Array): boolean {
    const socket = this.#socket;
    // Behind what waits for a paused socket to go on.
    if (this.#take === undefined || socket === undefined || socket.readableLength > 0) {
      return socket?.push(Buffer.from(bytes)) ?? false;
    }
    this.#take(bytes);
    return true;
  }
}
