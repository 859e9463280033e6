// A promise that is settled from outside.

export interface Pending<T> {
  /** Its rejection need not be awaited by anybody. */
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(error: Error): void;
}

export function pending<T>(): Pending<T> {
  const ends: { resolve?: (value: T) => void; reject?: (error: Error) => void } = {};
  const promise = new Promise<T>((resolve, reject) => {
    ends.resolve = resolve;
    ends.reject = reject;
  });
  promise.catch(() => {
    // Whoever awaits it learns of the failure.
  });
  return {
    promise,
    resolve: (value) => ends.resolve?.(value),
    reject: (error) => ends.reject?.(error),
  };
}
