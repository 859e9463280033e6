// How often a device may ask whether it was let in (RFC 8628 §3.5). The provider leaves that to us.

import type { Clock } from "@jitdb/shared/ids";

export const polling = {
  /** Told to the device. */
  intervalMs: 1000,
  /** Added each time that it asks too early, as the RFC has the device do. */
  slowDownMs: 5000,
  /** What the network may take off an interval. */
  toleranceMs: 250,
} as const;

interface Pace {
  intervalMs: number;
  lastAt: number;
  readonly forgetAt: number;
}

/** Knows as many codes as are alive; their number is bounded where they are given out. */
export class PollingPace {
  readonly #clock: Clock;
  /** In the order of the first poll, which is about that of expiry. */
  readonly #paces = new Map<string, Pace>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether this poll comes at its time. `code` names a device code that exists until `expiresAt`. */
  accept(code: string, expiresAt: number): boolean {
    const now = this.#clock.now();
    this.#forget(now);
    const pace = this.#paces.get(code);
    if (pace === undefined) {
      this.#paces.set(code, {
        intervalMs: polling.intervalMs,
        lastAt: now,
        forgetAt: expiresAt,
      });
      return true;
    }
    const early = now - pace.lastAt < pace.intervalMs - polling.toleranceMs;
    pace.lastAt = now;
    pace.intervalMs += early ? polling.slowDownMs : 0;
    return !early;
  }

  #forget(now: number): void {
    for (const [code, pace] of this.#paces) {
      if (pace.forgetAt > now) {
        return;
      }
      this.#paces.delete(code);
    }
  }
}
