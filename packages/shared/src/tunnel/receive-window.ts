// What one side takes of a stream: positions received, consumed and acknowledged, and the credit that it gives.

import { JitdbError } from "../errors.ts";
import { tunnelLimits } from "./limits.ts";

export class ReceiveWindow {
  readonly #stream: number;
  /** Credit beyond what is consumed, once the next WINDOW is out. */
  #windowBytes: number;
  #received = 0;
  #consumed = 0;
  #acknowledged = 0;
  /** Positions below this are what the peer was told it may send. */
  #limit: number;
  /** `received` when the sample began. */
  #sampleStart = 0;

  constructor(stream: number, windowBytes: number) {
    this.#stream = stream;
    this.#windowBytes = windowBytes;
    this.#limit = windowBytes;
  }

  get received(): number {
    return this.#received;
  }

  get windowBytes(): number {
    return this.#windowBytes;
  }

  /** Received, and the peer was not told. */
  get unacknowledgedBytes(): number {
    return this.#received - this.#acknowledged;
  }

  /** Half a window at a time: few WINDOW frames, and the sender never runs dry while one is under way. */
  get isCreditDue(): boolean {
    return (this.#consumed + this.#windowBytes - this.#limit) * 2 >= this.#windowBytes;
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
  }

  /** False for more than was received. */
  consume(byteCount: number): boolean {
    if (this.#consumed + byteCount > this.#received) {
      return false;
    }
    this.#consumed += byteCount;
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

  /** Begins to measure what arrives within one round trip. */
  startSample(): void {
    this.#sampleStart = this.#received;
  }

  /**
   * Ends the measurement: if more than half of the window arrived in one round trip, the window is what holds the sender back, and
   * it grows to twice of what came, by `budgetBytes` at the most and never over `maxWindowBytes`.
   * @returns by how many bytes it grew
   */
  endSample(budgetBytes: number, maxWindowBytes: number): number {
    const sampleBytes = this.#received - this.#sampleStart;
    if (sampleBytes * 2 <= this.#windowBytes) {
      return 0;
    }
    const wanted = Math.max(sampleBytes * 2, this.#windowBytes * 2);
    const size = Math.min(wanted, maxWindowBytes, this.#windowBytes + Math.max(0, budgetBytes));
    const growth = Math.max(0, Math.floor(size) - this.#windowBytes);
    this.#windowBytes += growth;
    return growth;
  }

  /** Whether samples may still change something. */
  get canGrow(): boolean {
    return this.#windowBytes < tunnelLimits.maxWindowBytes;
  }
}
