// A value that must never be printed. Whatever prints it (template, JSON, console, error) gets a redaction.

const redacted = "[secret]";

/** Holds a secret string. Only `reveal()` gives it back; call it at the last moment and keep the result out of variables that live. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return redacted;
  }

  toJSON(): string {
    return redacted;
  }

  /** What node's `util.inspect` and console print. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return redacted;
  }
}
