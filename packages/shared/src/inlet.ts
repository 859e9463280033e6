// Where the bytes of a socket come in: one memory for all reads of all sockets. Knows nothing of messages, or of what a socket is.

/** What it needs of a socket of Node's. */
export interface InletSocket {
  readonly readableLength: number;
  push(bytes: Uint8Array): boolean;
  on(event: "data", take: (bytes: Uint8Array) => void): unknown;
  removeAllListeners(event: "data"): unknown;
}

/** One for all sockets: between a read and what is made of it the loop does nothing else. */
const readMemory = new Uint8Array(256 * 1024);

/**
 * Reads for a socket. Node's own way is fresh memory for each read, and in bulk that keeps the garbage collector busier than
 * everything else. Make the socket with `onread`, `bind` it, and it works as any other, until somebody calls `read`.
 */
export class Inlet {
  /** An option of `net.connect` and `tls.connect`. */
  readonly onread: {
    readonly buffer: Uint8Array;
    readonly callback: (count: number) => boolean;
  } = {
    buffer: readMemory,
    callback: (count) => this.#come(readMemory.subarray(0, count)),
  };
  #socket: InletSocket | undefined;
  #take: ((bytes: Uint8Array) => void) | undefined;

  /** The socket that was made with `onread`. */
  bind(socket: InletSocket): void {
    this.#socket = socket;
  }

  /**
   * Gives what comes from now on to `take`, in order; before, it comes as the socket's `data` events. The bytes stand in memory that
   * the next read uses again: whoever keeps some copies them before `take` returns.
   */
  read(take: (bytes: Uint8Array) => void): void {
    this.#take = take;
    this.#socket?.removeAllListeners("data");
    this.#socket?.on("data", take);
  }

  /** False: the socket reads no more until it is asked to. */
  #come(bytes: Uint8Array): boolean {
    const socket = this.#socket;
    // Behind what waits for a paused socket to go on.
    if (this.#take === undefined || socket === undefined || socket.readableLength > 0) {
      return socket?.push(bytes.slice()) ?? false;
    }
    this.#take(bytes);
    return true;
  }
}
