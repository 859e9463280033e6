// Work that comes round again: never twice at once, never lost to an error.

export interface Repeated {
  /** Begins the work now, if it waits; once more behind it, if it runs. */
  wake(): void;
  /** Resolves when the work rests for good. */
  stop(): Promise<void>;
}

/**
 * Runs `work` now and again after the time that it returns, in milliseconds.
 * @param onError gets what `work` throws; it is tried again after `retryMs`
 */
export function repeat(
  work: () => Promise<number>,
  onError: (error: unknown) => void,
  retryMs = 1000,
): Repeated {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  let again = false;
  let stopped = false;

  async function run(): Promise<void> {
    let restMs = retryMs;
    try {
      restMs = await work();
    } catch (error) {
      onError(error);
    }
    running = undefined;
    if (!stopped) {
      timer = setTimeout(begin, again ? 0 : restMs);
      again = false;
    }
  }

  function begin(): void {
    running = run();
  }

  begin();
  return {
    wake() {
      if (running !== undefined) {
        again = true;
      } else if (!stopped) {
        clearTimeout(timer);
        begin();
      }
    },
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}
