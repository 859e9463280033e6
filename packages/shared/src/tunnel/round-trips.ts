// PING and what is measured with it: how long a round trip takes, and how much of each busy stream arrives within one.

import { JitdbError } from "../errors.ts";
import type { TunnelStream } from "./stream.ts";

export interface RoundTrip {
  readonly ms: number;
  /** The smallest of this WebSocket: what the path takes, without the waiting in queues. */
  readonly smallestMs: number;
  /** The streams that were measured in it. */
  readonly streams: Iterable<TunnelStream>;
}

export class RoundTrips {
  readonly #send: (value: number) => void;
  #last = 0;
  #pending: { readonly value: number; readonly sentAtMs: number } | undefined;
  #smallestMs = Number.POSITIVE_INFINITY;
  /** Streams that are measured in the round trip under way, and those that wait for the next. */
  #measured = new Set<TunnelStream>();
  #waiting = new Set<TunnelStream>();

  /** @param send sends a PING with this value */
  constructor(send: (value: number) => void) {
    this.#send = send;
  }

  /** Asks for a sign of life. While an answer is still awaited, asks nothing. */
  ping(nowMs: number): void {
    if (this.#pending !== undefined) {
      return;
    }
    this.#last += 1;
    this.#pending = { value: this.#last, sentAtMs: nowMs };
    this.#measured = this.#waiting;
    this.#waiting = new Set();
    for (const stream of this.#measured) {
      stream.window.startSample(nowMs, this.#smallestMs);
    }
    this.#send(this.#last);
  }

  /** Measures what arrives for a stream in the next round trip. */
  measure(stream: TunnelStream, nowMs: number): void {
    if (!this.#measured.has(stream)) {
      this.#waiting.add(stream);
      this.ping(nowMs);
    }
  }

  /** @throws JitdbError `tunnel.protocol` for an answer to what nobody asked. */
  answer(value: number, nowMs: number): RoundTrip {
    if (value !== this.#pending?.value) {
      throw new JitdbError("tunnel.protocol", "A PING was answered that nobody sent.");
    }
    const ms = Math.max(0, nowMs - this.#pending.sentAtMs);
    const streams = this.#measured;
    this.#pending = undefined;
    this.#measured = new Set();
    this.#smallestMs = Math.min(this.#smallestMs, ms);
    return { ms, smallestMs: this.#smallestMs, streams };
  }

  /** The WebSocket is gone: no answer will come, and the next path is another. */
  forget(): void {
    this.#pending = undefined;
    this.#smallestMs = Number.POSITIVE_INFINITY;
    this.#measured = new Set();
    this.#waiting = new Set();
  }
}
