// Where the bytes of a socket come in: one memory for all reads of all sockets. Knows nothing of messages, or of what a socket is.

/** What it needs of a socket of Node's. */
export interface InletSocket {
  readonly readableLength: number;
  readonly destroyed: boolean;
  push(bytes: Uint8Array): boolean;
  isPaused(): boolean;
  resume(): unknown;
  on(event: "data", take: (bytes: Uint8Array) => void): unknown;
  removeAllListeners(event: "data"): unknown;
}

/** Less at once says that the socket has no more for now. */
const fullReadBytes = 16 * 1024;
/**
 * So much in a row of one socket, then the others have their turn. Node would read up to 32 times, megabytes, and whoever asks a short
 * question beside a bulk stream would wait for what is made of them.
 */
const turnBytes = 128 * 1024;

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
  readonly #nextTurn: (work: () => void) => unknown;
  /** Read in a row. */
  #runBytes = 0;

  /** @param nextTurn runs something in the loop's next turn: Node's `setImmediate` */
  constructor(nextTurn: (work: () => void) => unknown) {
    this.#nextTurn = nextTurn;
  }

  /** The socket that was made with `onread`. */
  bind(socket: InletSocket): void {
    this.#socket = socket;
  }

  /**
   * Gives what comes from now on to `take`, in order; before, it comes as the socket's `data` events. The bytes stand in memory that
   * the next read uses again: whoever keeps some copies them before `take` returns. Undefined: it comes as `data` events again; pause the
   * socket before.
   */
  read(take: ((bytes: Uint8Array) => void) | undefined): void {
    this.#take = take;
    this.#socket?.removeAllListeners("data");
    if (take !== undefined) {
      this.#socket?.on("data", take);
    }
  }

  /** False: the socket reads no more until it is asked to. */
  #come(bytes: Uint8Array): boolean {
    const socket = this.#socket;
    // Behind what waits for a paused socket to go on.
    if (this.#take === undefined || socket === undefined || socket.readableLength > 0) {
      return socket?.push(bytes.slice()) ?? false;
    }
    this.#take(bytes);
    this.#runBytes = bytes.byteLength < fullReadBytes ? 0 : this.#runBytes + bytes.byteLength;
    if (this.#runBytes < turnBytes) {
      return true;
    }
    this.#runBytes = 0;
    this.#nextTurn(() => goOn(socket));
    return false;
  }
}

/** In the next turn, unless its owner has paused it meanwhile: then the owner lets it go on. */
function goOn(socket: InletSocket): void {
  if (!socket.destroyed && !socket.isPaused()) {
    socket.resume();
  }
}
