// A time limit for work that somebody else may give up, too.

/**
 * Runs work with a signal that is aborted with `signal`, or after `ms` milliseconds with an Error, whichever comes first.
 * Not by AbortSignal.any: of a signal that is composed with a time-out, Node 24 keeps every further composition for ever.
 */
export async function withDeadline<T>(
  ms: number,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = () => controller.abort(signal.reason);
  const timer = setTimeout(() => controller.abort(new Error(`not done in ${ms / 1000}s`)), ms);
  signal.addEventListener("abort", abort);
  if (signal.aborted) {
    abort();
  }
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
