// Waiting in tests: for a fact, with a deadline, never for a time.

/** Milliseconds between two looks. */
const lookMs = 20;

/**
 * Looks until there is an answer, and gives it.
 * @param what completes "… did not come true"
 * @param look undefined or false while there is none
 */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 10_000,
): Promise<T> {
  for (const end = Date.now() + deadlineMs; ; ) {
    const answer = await look();
    if (answer !== undefined && answer !== false) {
      return answer;
    }
    if (Date.now() > end) {
      throw new Error(`Within ${deadlineMs} ms it did not come true that ${what}.`);
    }
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
}

/** Resolves at an instant of the wall clock (epoch ms). */
export async function instant(at: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, at - Date.now())));
}
