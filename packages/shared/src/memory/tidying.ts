// Gives memory back when a program that has worked comes to rest. V8 keeps what a busy hour needed (young generations of 64 MB, and
// garbage that no collection has looked at) until it is busy again; a browser tells it when nobody looks, Node never does.

import type { Collector } from "./collector.ts";

/** Bytes and milliseconds. */
export const tidyingLimits = {
  /** Time from one look to the next. */
  intervalMs: 5000,
  /** Share of the time since the last look, from 0 to 1, up to which a program is at rest. */
  restingUtilization: 0.1,
  /** Looks in a row that find a program at rest, until nobody is expected to come back just now: two minutes. */
  looksToRest: 24,
  /** Growth of V8's heap that is worth a collection, as a share of what the tidy program held. */
  worthwhileShare: 1 / 8,
  /** Collecting a larger heap would keep too long whoever comes just then; V8 does that in pieces. 5,000 idle sessions are far below. */
  maxHeapBytes: 384 * 1024 * 1024,
} as const;

/** What it asks Node: functions of `node:v8` and of `performance` in `node:perf_hooks`. */
export interface TidyingDoors {
  getHeapStatistics(): { readonly total_heap_size: number };
  eventLoopUtilization(now?: Utilization, before?: Utilization): Utilization;
}

/** How long an event loop was busy (milliseconds, and as a share from 0 to 1). */
interface Utilization {
  readonly idle: number;
  readonly active: number;
  readonly utilization: number;
}

/** One for a program, which looks every `intervalMs`. */
export class Tidying {
  readonly #collector: Pick<Collector, "collectAll">;
  readonly #doors: TidyingDoors;
  /** The least that the program held since it was last tidied; nothing before the first time, so that what its start left goes too. */
  #tidyBytes = 0;
  /** Looks so far that found the program at rest, in a row. */
  #restingLooks = 0;
  #lastLook: Utilization | undefined;

  constructor(collector: Pick<Collector, "collectAll">, doors: TidyingDoors) {
    this.#collector = collector;
    this.#doors = doors;
  }

  /** Collects if the program has grown and rests. */
  look(): void {
    const isResting = this.#utilization() <= tidyingLimits.restingUtilization;
    this.#restingLooks = isResting ? this.#restingLooks + 1 : 0;
    const isAtRest = this.#restingLooks >= tidyingLimits.looksToRest;
    const bytes = this.#heapBytes();
    if (isAtRest && this.#isWorthwhile(bytes)) {
      this.#collector.collectAll();
      this.#tidyBytes = this.#heapBytes();
    } else {
      this.#tidyBytes = Math.min(this.#tidyBytes, bytes);
    }
  }

  #heapBytes(): number {
    return this.#doors.getHeapStatistics().total_heap_size;
  }

  /** Since the last look. */
  #utilization(): number {
    const now = this.#doors.eventLoopUtilization();
    const before = this.#lastLook;
    this.#lastLook = now;
    return this.#doors.eventLoopUtilization(now, before).utilization;
  }

  #isWorthwhile(bytes: number): boolean {
    const { worthwhileShare, maxHeapBytes } = tidyingLimits;
    return bytes >= this.#tidyBytes * (1 + worthwhileShare) && bytes <= maxHeapBytes;
  }
}
