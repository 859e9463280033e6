// One stream of the tunnel: its state table, its positions and windows, and what it has to send. Is given a function that
// sends frames and knows nothing of other streams, of maps' contents, or of the WebSocket. Implements docs/tunnel-protocol.md §6 and §7.

import { JitdbError } from "../errors.ts";
import { ByteQueue } from "./byte-queue.ts";
import { type DataFrame, dataHeaderBytes, type MapFrame, type PositionFrame } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";

export type StreamState =
  | "idle"
  | "requested"
  | "offered"
  | "open"
  | "halfClosedLocal"
  | "halfClosedRemote"
  | "closed";

export type StreamInput =
  `${"send" | "receive"}${"Open" | "Opened" | "Data" | "Window" | "Ack" | "Close" | "Reset"}`;

/** The whole life of a stream. What has no cell is a protocol error; repeats that change nothing lead back to where they came from. */
export const streamTransitions: Readonly<
  Record<StreamState, Readonly<Partial<Record<StreamInput, StreamState>>>>
> = {
  idle: { sendOpen: "requested", receiveOpen: "offered" },
  requested: { receiveOpened: "open", sendReset: "closed", receiveReset: "closed" },
  offered: {
    receiveOpen: "offered",
    sendOpened: "open",
    sendReset: "closed",
    receiveReset: "closed",
  },
  open: {
    receiveOpen: "open",
    receiveOpened: "open",
    sendData: "open",
    receiveData: "open",
    sendWindow: "open",
    receiveWindow: "open",
    sendAck: "open",
    receiveAck: "open",
    sendClose: "halfClosedLocal",
    receiveClose: "halfClosedRemote",
    sendReset: "closed",
    receiveReset: "closed",
  },
  halfClosedLocal: {
    receiveOpen: "halfClosedLocal",
    receiveOpened: "halfClosedLocal",
    receiveData: "halfClosedLocal",
    sendWindow: "halfClosedLocal",
    receiveWindow: "halfClosedLocal",
    sendAck: "halfClosedLocal",
    receiveAck: "halfClosedLocal",
    receiveClose: "closed",
    sendReset: "closed",
    receiveReset: "closed",
  },
  halfClosedRemote: {
    receiveOpen: "halfClosedRemote",
    receiveOpened: "halfClosedRemote",
    sendData: "halfClosedRemote",
    receiveWindow: "halfClosedRemote",
    receiveAck: "halfClosedRemote",
    receiveClose: "halfClosedRemote",
    sendClose: "closed",
    sendReset: "closed",
    receiveReset: "closed",
  },
  closed: {},
};

export interface TunnelStreamOptions {
  readonly id: number;
  /** Credit that this side gives: bytes beyond what it has consumed. */
  readonly windowBytes: number;
  /** Credit that the peer's HELLO gave. */
  readonly peerWindowBytes: number;
  /** Takes a frame and its body over; called from `flush` only. */
  readonly sendFrame: (frame: MapFrame | DataFrame | PositionFrame) => void;
}

/** Every method throws JitdbError `tunnel.protocol` where the table has no cell or a position is wrong. */
export class TunnelStream {
  readonly id: number;
  readonly #sendFrame: TunnelStreamOptions["sendFrame"];
  readonly #windowBytes: number;
  #state: StreamState = "idle";

  /** OPEN, OPENED or RESET that goes out before anything else. */
  #announcement: MapFrame | undefined;
  readonly #queue = new ByteQueue();
  #sentPosition = 0;
  /** The peer takes positions below this. */
  #sendLimit: number;
  /** A write went over the limit, and its writer waits. */
  #isBlocked = false;
  #isClosing = false;

  #receivedPosition = 0;
  #consumedPosition = 0;
  /** Positions below this are what the peer was told it may send. */
  #receiveLimit: number;
  #isWindowDue = false;

  constructor(options: TunnelStreamOptions) {
    this.id = options.id;
    this.#sendFrame = options.sendFrame;
    this.#windowBytes = options.windowBytes;
    this.#receiveLimit = options.windowBytes;
    this.#sendLimit = options.peerWindowBytes;
  }

  get state(): StreamState {
    return this.#state;
  }

  /** Both directions are over; a RESET may still have to go out. */
  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Whether `flush` would send something. */
  get hasOutput(): boolean {
    return (
      this.#announcement !== undefined ||
      this.#isWindowDue ||
      (this.#queue.byteLength > 0 ? this.#sentPosition < this.#sendLimit : this.#isClosing)
    );
  }

  /** Asks for the stream; `payload` is an encoded OPEN map. */
  open(payload: Uint8Array): void {
    this.#step("sendOpen");
    this.#announcement = { type: "OPEN", stream: this.id, payload };
  }

  /** Accepts the stream; `payload` is an encoded OPENED map. */
  opened(payload: Uint8Array): void {
    this.#step("sendOpened");
    this.#announcement = { type: "OPENED", stream: this.id, payload };
  }

  /** Queues bytes and owns them from now on. False: the queue is over the peer's credit, so write no more until `receiveWindow` gives true. */
  write(bytes: Uint8Array): boolean {
    this.#next("sendData");
    if (this.#isClosing) {
      throw this.#refusal("sendData after close");
    }
    this.#queue.push(bytes);
    this.#isBlocked = this.#sentPosition + this.#queue.byteLength > this.#sendLimit;
    return !this.#isBlocked;
  }

  /** The receiver has passed `byteCount` more bytes on and can take as many new ones. */
  consumed(byteCount: number): void {
    if (this.#consumedPosition + byteCount > this.#receivedPosition) {
      throw this.#refusal(`consuming ${byteCount} bytes, more than were received,`);
    }
    this.#consumedPosition += byteCount;
    // Half a window at a time: few WINDOW frames, and the sender never runs dry while one is under way.
    const growth = this.#consumedPosition + this.#windowBytes - this.#receiveLimit;
    this.#isWindowDue = this.#canReceive && growth * 2 >= this.#windowBytes;
  }

  /** Ends this direction behind the queued bytes. A second call changes nothing. */
  close(): void {
    if (!this.#isClosing && this.#state !== "halfClosedLocal") {
      this.#next("sendClose");
      this.#isClosing = true;
    }
  }

  /** Ends both directions at once and drops what is queued; `payload` is an encoded RESET map. */
  reset(payload: Uint8Array): void {
    this.#step("sendReset");
    // The peer has never heard of a stream whose OPEN is still here, and never will.
    const isUnknownToPeer = this.#announcement?.type === "OPEN";
    this.#drop();
    this.#announcement = isUnknownToPeer ? undefined : { type: "RESET", stream: this.id, payload };
  }

  /** True the first time, false for a repeat. */
  receiveOpen(): boolean {
    return this.#step("receiveOpen") === "idle";
  }

  /** True the first time, false for a repeat. */
  receiveOpened(): boolean {
    return this.#step("receiveOpened") === "requested";
  }

  /** @throws JitdbError `tunnel.window_overrun` for bytes that the peer had no credit for. */
  receiveData(position: number, byteCount: number): void {
    this.#step("receiveData");
    if (position !== this.#receivedPosition) {
      throw this.#refusal(`DATA at ${position} instead of ${this.#receivedPosition}`);
    }
    if (position + byteCount > this.#receiveLimit) {
      throw new JitdbError(
        "tunnel.window_overrun",
        `Stream ${this.id} was sent bytes up to ${position + byteCount}, over its limit of ${this.#receiveLimit}.`,
      );
    }
    this.#receivedPosition += byteCount;
  }

  /** True when a blocked writer may go on. A limit that is not higher than the last changes nothing. */
  receiveWindow(limit: number): boolean {
    this.#step("receiveWindow");
    // SECURITY: what fits the credit is queued here, so unlimited credit would be unlimited memory for a peer that never reads.
    if (limit > this.#sentPosition + tunnelLimits.maxWindowBytes) {
      throw this.#refusal(`WINDOW ${limit}, too far beyond ${this.#sentPosition},`);
    }
    this.#sendLimit = Math.max(this.#sendLimit, limit);
    const isFreed =
      this.#isBlocked && this.#sentPosition + this.#queue.byteLength <= this.#sendLimit;
    this.#isBlocked &&= !isFreed;
    return isFreed && !this.#isClosing;
  }

  /** Nothing is kept for resending in this version, so an acknowledgement is only checked. */
  receiveAck(position: number): void {
    this.#step("receiveAck");
    if (position > this.#sentPosition) {
      throw this.#refusal(`ACK ${position}, beyond ${this.#sentPosition},`);
    }
  }

  /** True the first time, false for a repeat. */
  receiveClose(position: number): boolean {
    const before = this.#step("receiveClose");
    if (position !== this.#receivedPosition) {
      throw this.#refusal(`CLOSE at ${position} instead of ${this.#receivedPosition}`);
    }
    this.#isWindowDue = false;
    return before !== "halfClosedRemote";
  }

  receiveReset(): void {
    this.#step("receiveReset");
    this.#drop();
  }

  /** Sends one turn's worth of frames, at most `maxTurnBytes`. Call again while `hasOutput`. */
  flush(): void {
    if (this.#announcement !== undefined) {
      this.#sendFrame(this.#announcement);
      this.#announcement = undefined;
    }
    this.#flushWindow();
    this.#flushData();
    if (this.#isClosing && this.#queue.byteLength === 0) {
      this.#step("sendClose");
      this.#isClosing = false;
      this.#sendFrame({ type: "CLOSE", stream: this.id, position: this.#sentPosition });
    }
  }

  #flushWindow(): void {
    if (!this.#isWindowDue) {
      return;
    }
    this.#isWindowDue = false;
    this.#receiveLimit = this.#consumedPosition + this.#windowBytes;
    this.#step("sendWindow");
    this.#sendFrame({ type: "WINDOW", stream: this.id, position: this.#receiveLimit });
    this.#step("sendAck");
    this.#sendFrame({ type: "ACK", stream: this.id, position: this.#receivedPosition });
  }

  #flushData(): void {
    let room: number = tunnelLimits.turnDataBytes;
    while (room > 0 && this.#sentPosition < this.#sendLimit) {
      const body = this.#queue.take(Math.min(room, this.#sendLimit - this.#sentPosition));
      if (body === undefined) {
        return;
      }
      this.#step("sendData");
      this.#sendFrame({ type: "DATA", stream: this.id, position: this.#sentPosition, body });
      this.#sentPosition += body.byteLength;
      room -= dataHeaderBytes + body.byteLength;
    }
  }

  get #canReceive(): boolean {
    return this.#state === "open" || this.#state === "halfClosedLocal";
  }

  #drop(): void {
    this.#announcement = undefined;
    this.#queue.clear();
    this.#isWindowDue = false;
    this.#isBlocked = false;
    this.#isClosing = false;
  }

  /** Takes the input and gives the state before it. */
  #step(input: StreamInput): StreamState {
    const before = this.#state;
    this.#state = this.#next(input);
    return before;
  }

  #next(input: StreamInput): StreamState {
    const next = streamTransitions[this.#state][input];
    if (next === undefined) {
      throw this.#refusal(input);
    }
    return next;
  }

  #refusal(what: string): JitdbError {
    return new JitdbError(
      "tunnel.protocol",
      `Stream ${this.id} cannot take ${what} while ${this.#state}.`,
    );
  }
}
