// One stream of the tunnel: its state table, and what opens and ends it. Sends through what it is given, and knows nothing of
// other streams, of maps' contents, or of the WebSocket. Implements docs/tunnel-protocol.md §6, §7 and its part of §10.

import { JitdbError } from "../errors.ts";
import type { MapFrame, ResumeFrame } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";
import type { StreamSender } from "./output.ts";
import { ReceiveWindow } from "./receive-window.ts";
import type { Recycle } from "./send-buffer.ts";
import { SendWindow } from "./send-window.ts";
import { type StreamInput, type StreamState, streamTransitions } from "./stream-states.ts";

export interface TunnelStreamOptions {
  readonly id: number;
  /** Credit that this side gives at first: bytes beyond what it has consumed. */
  readonly windowBytes: number;
  /** Credit that the peer's HELLO gave. */
  readonly peerWindowBytes: number;
  /** Takes frames and bytes over; called from `flush` only. */
  readonly sender: StreamSender;
  readonly recycle?: Recycle | undefined;
}

/** ACK of a RESET: everything of the stream has arrived that ever will. */
const wholeStream = tunnelLimits.maxPosition;

/**
 * Every method throws JitdbError `tunnel.protocol` where the table has no cell or a position is wrong.
 *
 * What the peer may not have got is kept: the bytes and the CLOSE that it has not acknowledged, OPEN until it is answered, OPENED
 * until the agent shows that it has it, RESET until it is acknowledged.
 */
export class TunnelStream {
  readonly id: number;
  readonly #sender: StreamSender;
  #state: StreamState = "idle";

  /** OPEN, OPENED or RESET that goes out before anything else. */
  #announcement: MapFrame | undefined;
  /** The one that the peer may not have got. */
  #kept: MapFrame | undefined;
  readonly #sending: SendWindow;
  readonly #window: ReceiveWindow;
  #isWindowDue = false;
  #isAckDue = false;
  #hasPeerClosed = false;
  #isResetByPeer = false;
  /** The peer knows that the stream is over although it acknowledged no CLOSE, or never knew of it. */
  #isEndKnown = false;

  constructor(options: TunnelStreamOptions) {
    this.id = options.id;
    this.#sender = options.sender;
    this.#window = new ReceiveWindow(options.id, options.windowBytes);
    this.#sending = new SendWindow(options.peerWindowBytes, options.recycle);
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
    return this.isClosed && (this.#isEndKnown || this.#sending.isCloseKnown) && !this.hasOutput;
  }

  /** Whether `flush` would send something. */
  get hasOutput(): boolean {
    return (
      this.#announcement !== undefined ||
      this.#isWindowDue ||
      this.#isAckDue ||
      this.#sending.hasOutput
    );
  }

  /** Whether OPEN, OPENED or RESET is what `flush` would send first. */
  get hasAnnouncement(): boolean {
    return this.#announcement !== undefined;
  }

  /** Bytes that wait to be sent. */
  get unsentBytes(): number {
    return this.#sending.unsentBytes;
  }

  /** Memory for what is unsent or not acknowledged. */
  get keptBytes(): number {
    return this.#sending.keptBytes;
  }

  /** Whether a `write` now would be within the credit. */
  get isWritable(): boolean {
    return !(this.isClosed || this.#sending.isBlocked || this.#sending.isClosing);
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
    // What came ahead was not acknowledged: until it is let in, a stream has no other answer.
    this.#isAckDue = this.#window.unacknowledgedBytes > 0;
    this.#announce({ type: "OPENED", stream: this.id, payload });
  }

  /** Queues bytes and owns them from now on. False: the queue is over the peer's credit, so write no more until `receiveWindow` gives true. */
  write(bytes: Uint8Array): boolean {
    this.#next("sendData");
    if (this.#sending.isClosing) {
      throw this.#refusal("sendData after close");
    }
    return this.#sending.write(bytes);
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
    const canAcknowledge = this.#canReceive || this.#state === "halfClosedRemote";
    this.#isAckDue ||= canAcknowledge && this.#window.unacknowledgedBytes > 0;
  }

  /** Ends this direction behind the queued bytes. A second call changes nothing. */
  close(): void {
    if (!this.#sending.isClosing) {
      this.#next("sendClose");
      this.#sending.close();
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
    if (position !== this.#window.received) {
      throw this.#refusal(`DATA at ${position} instead of ${this.#window.received}`);
    }
    this.#window.receive(byteCount);
    this.#isAckDue ||= this.#canReceive && this.#window.isAckDue;
  }

  /** True when a blocked writer may go on. A limit that is not higher than the last changes nothing. */
  receiveWindow(limit: number): boolean {
    this.#step("receiveWindow");
    this.#heard();
    return this.#raise("WINDOW", limit);
  }

  /** What the peer has got is kept no longer. */
  receiveAck(position: number): void {
    this.#step("receiveAck");
    this.#heard();
    if (this.#isResetByPeer) {
      // Two RESETs crossed.
      return;
    }
    if (this.#kept?.type === "RESET") {
      // Anything else crossed our RESET.
      this.#isEndKnown ||= position === wholeStream;
      return;
    }
    if (!this.#sending.acknowledge(position)) {
      throw this.#refusal(`ACK ${position}, beyond what was sent,`);
    }
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
    const received = this.#acknowledgement();
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
    if (!this.#sending.rewind(received)) {
      throw this.#refusal(`RESUME at ${received}, which was acknowledged or never sent,`);
    }
    return this.#raise("RESUME with the limit", limit);
  }

  /**
   * The peer does not know the stream after a new WebSocket.
   * @param peerWindowBytes as in the peer's new HELLO
   * @returns true if it is lost; false if it goes on all the same, because its OPEN was lost (sent again), or was over anyway
   */
  isMissed(peerWindowBytes: number): boolean {
    if (this.#state === "requested" && this.#sending.restart(peerWindowBytes)) {
      this.#announcement = this.#kept;
      return false;
    }
    const isLost = !this.isClosed;
    this.#state = "closed";
    this.#isEndKnown = true;
    this.#drop();
    return isLost;
  }

  /** Sends one turn's worth of frames, at most `maxTurnBytes`. Call again while `hasOutput`. */
  flush(): void {
    if (this.#announcement !== undefined) {
      this.#sender.send(this.#announcement);
      this.#announcement = undefined;
    }
    this.#flushWindow();
    this.#sending.sendData(this.id, this.#sender);
    if (this.#sending.isCloseNext) {
      // Sent again, it changes no state.
      if (!this.#sending.hasSentClose) {
        this.#step("sendClose");
      }
      this.#sending.sendClose(this.id, this.#sender);
    }
  }

  #flushWindow(): void {
    if (this.#isWindowDue) {
      this.#isWindowDue = false;
      this.#step("sendWindow");
      this.#sender.send({ type: "WINDOW", stream: this.id, position: this.#window.extend() });
      this.#isAckDue = true;
    }
    if (this.#isAckDue) {
      this.#isAckDue = false;
      this.#step("sendAck");
      const position = this.#isResetByPeer ? wholeStream : this.#acknowledgement();
      this.#sender.send({ type: "ACK", stream: this.id, position });
    }
  }

  #acknowledgement(): number {
    return this.#window.acknowledge() + (this.#hasPeerClosed ? 1 : 0);
  }

  #announce(frame: MapFrame): void {
    this.#announcement = frame;
    this.#kept = frame;
  }

  /** What comes behind OPENED only: the peer has got ours. Its DATA may be ahead. */
  #heard(): void {
    if (this.#kept?.type === "OPENED") {
      this.#kept = undefined;
    }
  }

  #raise(what: string, limit: number): boolean {
    const isFreed = this.#sending.raise(limit);
    if (isFreed === undefined) {
      throw this.#refusal(`${what} ${limit}, too far beyond what was sent,`);
    }
    return isFreed;
  }

  get #canReceive(): boolean {
    return this.#state === "open" || this.#state === "halfClosedLocal";
  }

  #drop(): void {
    this.#announcement = undefined;
    this.#kept = undefined;
    this.#sending.drop();
    this.#isWindowDue = false;
    this.#isAckDue = false;
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
