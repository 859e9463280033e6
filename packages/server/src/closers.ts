// Everything that was opened, closed in reverse order, on every path.

export class Closers {
  readonly #steps: (() => unknown)[] = [];

  /** @param close runs once, after everything that was added later */
  add(close: () => unknown): void {
    this.#steps.push(close);
  }

  /** Every step runs, also when one before it failed; then the first failure is thrown. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#steps.pop(); close !== undefined; close = this.#steps.pop()) {
      try {
        await close();
      } catch (failure) {
        failures.push(failure);
      }
    }
    if (failures.length > 0) {
      throw failures[0];
    }
  }
}
