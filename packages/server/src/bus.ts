// Hints inside one process that something changed. The store is the truth: who misses a hint finds the same by asking.

export interface Hint {
  readonly type: "request" | "grant" | "person" | "device" | "session" | "outbox";
  /** Of the request, grant, person, device or session that changed; of the outbox, the receiver's name. */
  readonly id: string;
}

export class Bus {
  readonly #listeners = new Set<(hint: Hint) => void>();

  /** Calls `listener` with every hint, in the sender's stack: a listener must be short and must not throw. Returns what ends it. */
  on(listener: (hint: Hint) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** To be called after the change was committed, never inside its transaction. */
  emit(hint: Hint): void {
    for (const listener of this.#listeners) {
      listener(hint);
    }
  }
}
