// Ctrl-C, or a signal, in the middle of a run: what it has started is stopped before it ends.

import { constants } from "node:os";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Why the bench gives up. */
export class Interrupted extends Error {
  /** As shells have it. */
  readonly exitCode: number;

  constructor(signal: (typeof signals)[number]) {
    super(`Interrupted by ${signal}.`);
    this.exitCode = 128 + constants.signals[signal];
  }
}

let interrupted = new Promise<never>(() => undefined);

/** From now on a signal ends the run by {@link unlessInterrupted}. For whoever starts something; others a signal may end at once. */
export function heedSignals(): void {
  interrupted = new Promise<never>((_resolve, reject) => {
    for (const signal of signals) {
      process.on(signal, () => reject(new Interrupted(signal)));
    }
  });
  interrupted.catch(() => undefined);
}

/** The work's result; what becomes of it when a signal comes is the caller's `finally`. @throws Interrupted */
export async function unlessInterrupted<T>(work: Promise<T>): Promise<T> {
  return await Promise.race([interrupted, work]);
}
