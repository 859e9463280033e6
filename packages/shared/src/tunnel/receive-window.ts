// What one side takes of a stream: positions received, consumed and acknowledged, and the credit that it gives.

import { JitdbError } from "../errors.ts";
import { tunnelLimits } from "./limits.ts";

export class ReceiveWindow {
  readonly #stream: number;
  readonly #firstWindowBytes: number;
  /** Credit beyond what is consumed, once the next WINDOW is out. */
  #windowBytes: number;
  #received = 0;
  #consumed = 0;
  #acknowledged = 0;
  /** Positions below this are what the peer was told it may send. */
  #limit: number;
  /** DATA frames that are not consumed; a share where only some of the bytes are. */
  #unreadFrames = 0;
  /** When the sample began, and `received` then. */
  #sampleStartMs = Number.NEGATIVE_INFINITY;
  #sampleStart = 0;
  /** `received` at the last look whether the stream rests. */
  #lookedAt = 0;

  constructor(stream: number, windowBytes: number) {
    this.#stream = stream;
    this.#firstWindowBytes = windowBytes;
    this.#windowBytes = windowBytes;
    this.#limit = windowBytes;
  }

  get received(): number {
    return this.#received;
  }

  get unreadFrames(): number {
    return this.#unreadFrames;
  }

  /** Received, and the peer was not told. */
  get unacknowledgedBytes(): number {
    return this.#received - this.#acknowledged;
  }

  /** A quarter of a window at a time; the rest waits for the next look. */
  get isAckDue(): boolean {
    return this.unacknowledgedBytes * 4 >= this.#windowBytes;
  }

  /** A quarter of a window at a time: few WINDOW frames, and three quarters under way while one comes. */
  get isCreditDue(): boolean {
    return (this.#consumed + this.#windowBytes - this.#limit) * 4 >= this.#windowBytes;
  }

  /** Credit beyond that of the start, given or about to be: what the peer may send is what memory is needed for. */
  get grownBytes(): number {
    return Math.max(this.#windowBytes, this.#limit - this.#consumed) - this.#firstWindowBytes;
  }

  /** @throws JitdbError `tunnel.window_overrun` for bytes that the peer had no credit for. */
  receive(byteCount: number): void {
    const end = this.#received + byteCount;
    if (end > this.#limit) {
      throw new JitdbError(
        "tunnel.window_overrun",
        `Stream ${this.#stream} was sent bytes up to ${end}, over its limit of ${this.#limit}.`,
      );
    }
    this.#received = end;
    this.#unreadFrames += 1;
  }

  /** False for more than was received. */
  consume(byteCount: number): boolean {
    const unreadBytes = this.#received - this.#consumed;
    if (byteCount > unreadBytes) {
      return false;
    }
    this.#consumed += byteCount;
    this.#unreadFrames =
      byteCount === unreadBytes
        ? 0
        : Math.ceil((this.#unreadFrames * (unreadBytes - byteCount)) / unreadBytes);
    return true;
  }

  /** The limit that the peer is told now. Credit is never taken back. */
  extend(): number {
    this.#limit = Math.max(this.#limit, this.#consumed + this.#windowBytes);
    return this.#limit;
  }

  /** The position that the peer is told now: it may forget what stands below. */
  acknowledge(): number {
    this.#acknowledged = this.#received;
    return this.#received;
  }

  /**
   * Begins to measure how fast bytes arrive, unless the last measurement ended less than two round trips ago: then this one goes on there.
   * What a window lets through comes in bursts, and between the two measurements might be half of each.
   */
  startSample(nowMs: number, roundTripMs: number): void {
    if (nowMs - this.#sampleStartMs >= 2 * Math.max(roundTripMs, tunnelLimits.leastSampleMs)) {
      this.#sampleFrom(nowMs);
    }
  }

  /**
   * Ends the measurement, unless it has only begun. If more than half of the window arrives in a round trip, the window may be what
   * holds the sender back, and it grows towards twice the bandwidth-delay product and one turn, since bytes come in turns; to its
   * double at once and by `budgetBytes` at the most. Up to `nearWindowBytes` a shorter path counts as one of `leastSampleMs`.
   * @param roundTripMs what the path itself takes; waiting in queues is no part of it, which larger windows only lengthen
   */
  endSample(nowMs: number, roundTripMs: number, budgetBytes: number, maxWindowBytes: number): void {
    const { leastSampleMs, nearWindowBytes, turnDataBytes } = tunnelLimits;
    const elapsedMs = nowMs - this.#sampleStartMs;
    if (elapsedMs < leastSampleMs) {
      return;
    }
    const bytesPerMs = (this.#received - this.#sampleStart) / elapsedMs;
    const wantedFor = (ms: number) => {
      const product = bytesPerMs * ms;
      return product * 2 > this.#windowBytes ? Math.floor(product * 2) + turnDataBytes : 0;
    };
    const near = Math.min(wantedFor(Math.max(roundTripMs, leastSampleMs)), nearWindowBytes);
    const wanted = Math.max(wantedFor(roundTripMs), near);
    const size = Math.min(wanted, this.#windowBytes * 2, maxWindowBytes);
    const budget = this.#windowBytes + Math.max(0, Math.floor(budgetBytes));
    this.#windowBytes = Math.max(this.#windowBytes, Math.min(size, budget));
    this.#sampleFrom(nowMs);
  }

  /**
   * Looked at now and then. If less than a quarter of the window came since the last look, it is that of the start again;
   * what the peer was given before it may still use.
   */
  rest(): void {
    if ((this.#received - this.#lookedAt) * 4 < this.#windowBytes) {
      this.#windowBytes = this.#firstWindowBytes;
    }
    this.#lookedAt = this.#received;
  }

  #sampleFrom(nowMs: number): void {
    this.#sampleStartMs = nowMs;
    this.#sampleStart = this.#received;
  }
}
