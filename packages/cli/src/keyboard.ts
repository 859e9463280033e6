// Single keys, as they are pressed: for questions that one key answers.

/** A keyboard that somebody sits at. Whoever opened it closes it on every path. */
export interface Keyboard {
  /**
   * The next key: a letter in lower case, a digit, `enter` or `escape`. What is pressed while nobody waits is dropped.
   * SECURITY: else a key that is typed ahead, or twice, would answer a question that nobody has read yet.
   * Rejects with the signal's reason.
   */
  next(signal: AbortSignal): Promise<string>;
  /** Lets a question of another kind have the terminal while the work runs. */
  lend<T>(work: () => Promise<T>): Promise<T>;
  close(): void;
}

/** The part of stdin that a keyboard is. */
export interface KeyboardInput {
  setRawMode(isRaw: boolean): unknown;
  resume(): unknown;
  pause(): unknown;
  on(event: "data", listener: (chunk: Buffer) => void): unknown;
  off(event: "data", listener: (chunk: Buffer) => void): unknown;
}

/**
 * Nothing is echoed while it is open. Ctrl-C is not a key: it interrupts, as anywhere else.
 * @param interrupt what Ctrl-C does; the terminal itself sends no signal while it is read key by key
 */
export function openKeyboard(input: KeyboardInput, interrupt: () => void): Keyboard {
  let waiting: ((key: string) => void) | undefined;
  const listen = (chunk: Buffer) => {
    const text = chunk.toString("utf8");
    if (text.includes(controlC)) {
      interrupt();
      return;
    }
    const key = keyOf(text);
    if (key !== undefined) {
      waiting?.(key);
    }
  };
  const open = () => {
    input.setRawMode(true);
    input.on("data", listen);
    input.resume();
  };
  const close = () => {
    input.off("data", listen);
    input.setRawMode(false);
    // A flowing stdin would keep the process alive.
    input.pause();
  };
  open();
  return {
    next: (signal) =>
      new Promise<string>((resolve, reject) => {
        const abort = () => {
          waiting = undefined;
          reject(signal.reason);
        };
        if (signal.aborted) {
          abort();
          return;
        }
        signal.addEventListener("abort", abort, { once: true });
        waiting = (key) => {
          waiting = undefined;
          signal.removeEventListener("abort", abort);
          resolve(key);
        };
      }),
    async lend(work) {
      close();
      try {
        return await work();
      } finally {
        open();
      }
    },
    close,
  };
}

const controlC = "\u0003";
const named: ReadonlyMap<string, string> = new Map([
  ["\r", "enter"],
  ["\n", "enter"],
  ["\u001b", "escape"],
  // Ctrl-D, where a shell would end.
  ["\u0004", "q"],
]);

/** SECURITY: of a paste no letter counts as a key; neither does an arrow, which comes as several characters. */
function keyOf(text: string): string | undefined {
  return named.get(text) ?? (/^[\x20-\x7e]$/.test(text) ? text.toLowerCase() : undefined);
}
