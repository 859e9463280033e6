// A token bucket: a burst, then a steady rate. Refused calls cost nothing.

import type { Clock } from "@jitdb/shared/ids";

export interface Rate {
  /** Calls at once. */
  readonly burst: number;
  readonly perSecond: number;
}

export class RateLimit {
  readonly #rate: Rate;
  readonly #clock: Clock;
  #left: number;
  #countedAt: number;

  constructor(rate: Rate, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
    this.#left = rate.burst;
    this.#countedAt = clock.now();
  }

  /** Takes one call, or says that there is none left. */
  take(): boolean {
    const now = this.#clock.now();
    // A clock that was set back brings nothing, and takes nothing away.
    const elapsedMs = Math.max(0, now - this.#countedAt);
    this.#countedAt = now;
    const { burst, perSecond } = this.#rate;
    this.#left = Math.min(burst, this.#left + (elapsedMs * perSecond) / 1000);
    if (this.#left < 1) {
      return false;
    }
    this.#left -= 1;
    return true;
  }
}
