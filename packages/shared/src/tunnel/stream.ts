// One stream of the tunnel: its state table, its positions and windows, and what it has to send. Is given a function that
// sends frames and knows nothing of other streams, of maps' contents, or of the WebSocket. Implements docs/tunnel-protocol.md §6 and §7.

import { JitdbError } from "../errors.ts";
import {
  type DataFrame,
  dataHeaderBytes,
  type MapFrame,
  type PositionFrame,
  type ResumeFrame,
} from "./frame.ts";
import { tunnelLimits } from "./limits.ts";
import { ReceiveWindow } from "./receive-window.ts";
import { SendBuffer } from "./send-buffer.ts";
import { type StreamInput, type StreamState, streamTransitions } from "./stream-states.ts";

export interface TunnelStreamOptions {
  readonly id: number;
  /** Credit that this side gives at first: bytes beyond what it has consumed. */
  readonly windowBytes: number;
  /** Credit that the peer's HELLO gave. */
  readonly peerWindowBytes: number;
  /** Takes a frame and its body over; called from `flush` only. */
  readonly sendFrame: (frame: MapFrame | DataFrame | PositionFrame) => void;
}

/** ACK of a RESET: everything of the stream has arrived that ever will. */
const wholeStream = tunnelLimits.maxPosition;

/**
 * Every method throws JitdbError `tunnel.protocol` where the table has no cell or a position is wrong.
 *
 * What the peer may not have got is kept: the bytes it has not acknowledged, OPEN until it is answered, OPENED until the agent is
 * heard, CLOSE and RESET until they are acknowledged. A CLOSE counts as one more position, so that its ACK can be told from the last byte's.
 */
export class TunnelStream {
  readonly id: number;
  readonly #sendFrame: TunnelStreamOptions["sendFrame"];
  #state: StreamState = "idle";

  /** OPEN, OPENED or RESET that goes out before anything else. */
  #announcement: MapFrame | undefined;
  /** The one that the peer may not have got. */
  #kept: MapFrame | undefined;
  readonly #buffer = new SendBuffer();
  /** The peer takes positions below this. */
  #sendLimit: number;
  /** A write went over the limit, and its writer waits. */
  #isBlocked = false;
  /** CLOSE goes out behind the bytes. */
  #isClosing = false;
  #hasSentClose = false;
  /** The peer knows that the stream is over, or never knew of it. */
  #isEndKnown = false;

  readonly #window: ReceiveWindow;
  #isWindowDue = false;
  #isAckDue = false;
  #hasPeerClosed = false;
  #isResetByPeer = false;

  constructor(options: TunnelStreamOptions) {
    this.id = options.id;
    this.#sendFrame = options.sendFrame;
    this.#window = new ReceiveWindow(options.id, options.windowBytes);
    this.#sendLimit = options.peerWindowBytes;
  }

  get state(): StreamState {
    return this.#state;
  }

  /** Both directions are over; the peer may not know it yet. */
  get isClosed(): boolean {
    return this.#state === "closed";
  }

  /** Over, known to be over on both sides, and nothing left to say. */
  get isFinished(): boolean {
    return this.isClosed && this.#isEndKnown && !this.hasOutput;
  }

  /** Whether `flush` would send something. */
  get hasOutput(): boolean {
    return (
      this.#announcement !== undefined ||
      this.#isWindowDue ||
      this.#isAckDue ||
      (this.#buffer.unsentBytes > 0 ? this.#buffer.cursor < this.#sendLimit : this.#isClosing)
    );
  }

  /** Bytes that wait to be sent. */
  get unsentBytes(): number {
    return this.#buffer.unsentBytes;
  }

  /** Bytes that are kept here: unsent, or not acknowledged. */
  get bufferedBytes(): number {
    return this.#buffer.byteLength;
  }

  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** Whether it received something that the peer keeps for us. */
  get hasUnacknowledged(): boolean {
    return this.#canAcknowledge && this.#window.unacknowledgedBytes > 0;
  }

  get window(): ReceiveWindow {
    return this.#window;
  }

  /** Asks for the stream; `payload` is an encoded OPEN map. */
  open(payload: Uint8Array): void {
    this.#step("sendOpen");
    this.#announce({ type: "OPEN", stream: this.id, payload });
  }

  /** Accepts the stream; `payload` is an encoded OPENED map. */
  opened(payload: Uint8Array): void {
    this.#step("sendOpened");
    this.#announce({ type: "OPENED", stream: this.id, payload });
  }

  /** Queues bytes and owns them from now on. False: the queue is over the peer's credit, so write no more until `receiveWindow` gives true. */
  write(bytes: Uint8Array): boolean {
    this.#next("sendData");
    if (this.#isClosing) {
      throw this.#refusal("sendData after close");
    }
    this.#buffer.push(bytes);
    this.#isBlocked = this.#buffer.end > this.#sendLimit;
    return !this.#isBlocked;
  }

  /** The receiver has passed `byteCount` more bytes on and can take as many new ones. */
  consumed(byteCount: number): void {
    if (!this.#window.consume(byteCount)) {
      throw this.#refusal(`consuming ${byteCount} bytes, more than were received,`);
    }
    this.#isWindowDue = this.#canReceive && this.#window.isCreditDue;
  }

  /** Tells the peer with the next flush what has arrived, so that it keeps no more of it. */
  acknowledge(): void {
    this.#isAckDue ||= this.hasUnacknowledged;
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
    if (isUnknownToPeer) {
      this.#isEndKnown = true;
    } else {
      this.#announce({ type: "RESET", stream: this.id, payload });
    }
  }

  /** True the first time, false for a repeat. */
  receiveOpen(): boolean {
    return this.#step("receiveOpen") === "idle";
  }

  /** True the first time, false for a repeat. */
  receiveOpened(): boolean {
    const before = this.#step("receiveOpened");
    this.#kept = undefined;
    return before === "requested";
  }

  /** @throws JitdbError `tunnel.window_overrun` for bytes that the peer had no credit for. */
  receiveData(position: number, byteCount: number): void {
    this.#step("receiveData");
    this.#heard();
    if (position !== this.#window.received) {
      throw this.#refusal(`DATA at ${position} instead of ${this.#window.received}`);
    }
    this.#window.receive(byteCount);
    this.#isAckDue ||= this.#window.unacknowledgedBytes >= tunnelLimits.ackBytes;
  }

  /** True when a blocked writer may go on. A limit that is not higher than the last changes nothing. */
  receiveWindow(limit: number): boolean {
    this.#step("receiveWindow");
    this.#heard();
    // SECURITY: credit is kept in positions, and no peer may name one that would never be reached.
    if (limit > this.#buffer.cursor + tunnelLimits.maxWindowBytes) {
      throw this.#refusal(`WINDOW ${limit}, too far beyond ${this.#buffer.cursor},`);
    }
    this.#sendLimit = Math.max(this.#sendLimit, limit);
    const isFreed = this.#isBlocked && this.#buffer.end <= this.#sendLimit;
    this.#isBlocked &&= !isFreed;
    return isFreed && !this.#isClosing;
  }

  /** What the peer has got is kept no longer. */
  receiveAck(position: number): void {
    this.#step("receiveAck");
    this.#heard();
    if (this.isClosed && this.#kept?.type === "RESET") {
      // Anything else crossed our RESET.
      this.#isEndKnown ||= position === wholeStream;
      return;
    }
    const highest = this.#buffer.cursor + (this.#hasSentClose ? 1 : 0);
    if (position > highest) {
      throw this.#refusal(`ACK ${position}, beyond ${highest},`);
    }
    this.#release(position);
  }

  /** True the first time, false for a repeat. */
  receiveClose(position: number): boolean {
    const before = this.#step("receiveClose");
    this.#heard();
    if (position !== this.#window.received) {
      throw this.#refusal(`CLOSE at ${position} instead of ${this.#window.received}`);
    }
    this.#isWindowDue = false;
    this.#hasPeerClosed = true;
    this.#isAckDue = true;
    return before !== "halfClosedRemote";
  }

  receiveReset(): void {
    this.#step("receiveReset");
    this.#drop();
    this.#isResetByPeer = true;
    this.#isAckDue = true;
    this.#isEndKnown = true;
  }

  /** Where this side stands, for a new WebSocket; the peer may count on it from then on. */
  report(): ResumeFrame {
    this.#isWindowDue = false;
    this.#isAckDue = this.#isResetByPeer;
    const limit = this.#canReceive ? this.#window.extend() : this.#window.received;
    const received = this.#window.acknowledge() + (this.#hasPeerClosed ? 1 : 0);
    const isOpened = this.#state !== "requested" && this.#state !== "offered";
    return { type: "RESUME", stream: this.id, isOpened, received, limit };
  }

  /**
   * Goes on from where the peer stands: what it does not have is sent again.
   * @returns as `receiveWindow`
   */
  resume({ isOpened, received, limit }: ResumeFrame): boolean {
    if (this.#isResetByPeer) {
      return false;
    }
    if (this.#kept?.type === "RESET") {
      this.#announcement = this.#kept;
      return false;
    }
    if (this.#kept?.type === "OPENED" && !isOpened) {
      this.#announcement = this.#kept;
    }
    const lowest = this.#buffer.end - this.#buffer.byteLength;
    const highest = this.#buffer.cursor + (this.#hasSentClose ? 1 : 0);
    if (received < lowest || received > highest) {
      throw this.#refusal(`RESUME at ${received}, not in ${lowest} to ${highest},`);
    }
    this.#release(received);
    this.#buffer.rewind();
    this.#isClosing ||= this.#hasSentClose && received <= this.#buffer.end;
    if (limit > this.#buffer.cursor + tunnelLimits.maxWindowBytes) {
      throw this.#refusal(`RESUME with the limit ${limit}, too far beyond ${this.#buffer.cursor},`);
    }
    this.#sendLimit = Math.max(this.#sendLimit, limit);
    const isFreed = this.#isBlocked && this.#buffer.end <= this.#sendLimit;
    this.#isBlocked &&= !isFreed;
    return isFreed && !this.#isClosing;
  }

  /**
   * The peer does not know the stream after a new WebSocket.
   * @returns false: it goes on all the same, because its OPEN was lost (sent again) or because it is over
   */
  isMissed(): boolean {
    if (this.#state === "requested" && this.#kept?.type === "OPEN") {
      this.#announcement = this.#kept;
      return false;
    }
    this.#isEndKnown = true;
    if (this.isClosed) {
      this.#announcement = undefined;
      this.#isAckDue = false;
      return false;
    }
    this.#state = "closed";
    this.#drop();
    return true;
  }

  /** Sends one turn's worth of frames, at most `maxTurnBytes`. Call again while `hasOutput`. */
  flush(): void {
    if (this.#announcement !== undefined) {
      this.#sendFrame(this.#announcement);
      this.#announcement = undefined;
    }
    this.#flushWindow();
    this.#flushData();
    if (this.#isClosing && this.#buffer.unsentBytes === 0) {
      this.#flushClose();
    }
  }

  #flushWindow(): void {
    if (this.#isWindowDue) {
      this.#isWindowDue = false;
      this.#step("sendWindow");
      this.#sendFrame({ type: "WINDOW", stream: this.id, position: this.#window.extend() });
      this.#isAckDue = true;
    }
    if (this.#isAckDue) {
      this.#isAckDue = false;
      this.#step("sendAck");
      this.#sendFrame({ type: "ACK", stream: this.id, position: this.#acknowledged() });
    }
  }

  #acknowledged(): number {
    return this.#isResetByPeer
      ? wholeStream
      : this.#window.acknowledge() + (this.#hasPeerClosed ? 1 : 0);
  }

  #flushData(): void {
    const buffer = this.#buffer;
    let room: number = tunnelLimits.turnDataBytes;
    while (room > 0 && buffer.cursor < this.#sendLimit) {
      const position = buffer.cursor;
      const body = buffer.take(Math.min(room, this.#sendLimit - position));
      if (body === undefined) {
        return;
      }
      this.#sendFrame({ type: "DATA", stream: this.id, position, body });
      room -= dataHeaderBytes + body.byteLength;
    }
  }

  #flushClose(): void {
    this.#isClosing = false;
    if (!this.#hasSentClose) {
      this.#step("sendClose");
      this.#hasSentClose = true;
    }
    this.#sendFrame({ type: "CLOSE", stream: this.id, position: this.#buffer.end });
  }

  #announce(frame: MapFrame): void {
    this.#announcement = frame;
    this.#kept = frame;
  }

  /** A frame of the stream itself: the peer has got our OPENED. */
  #heard(): void {
    if (this.#kept?.type === "OPENED") {
      this.#kept = undefined;
    }
  }

  #release(position: number): void {
    const kept = this.#buffer.end - this.#buffer.byteLength;
    this.#buffer.release(Math.min(Math.max(position, kept), this.#buffer.end));
    this.#isEndKnown ||= this.#hasSentClose && position > this.#buffer.end;
  }

  get #canReceive(): boolean {
    return this.#state === "open" || this.#state === "halfClosedLocal";
  }

  get #canAcknowledge(): boolean {
    return this.#canReceive || this.#state === "halfClosedRemote";
  }

  #drop(): void {
    this.#announcement = undefined;
    this.#kept = undefined;
    this.#buffer.clear();
    this.#isWindowDue = false;
    this.#isAckDue = false;
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
