// A bound on what a rule's author may make the server compute: conditions and patterns run under a watchdog.

import { createContext, Script } from "node:vm";

/** Most time that one condition or pattern may take. A sound one needs microseconds. */
export const maxRuleMs = 100;

/** On a machine that is busy with other things, the same work is tried again. */
const maxAttempts = 5;

const script = new Script("work()");
const holder: { work: () => unknown } = { work: () => undefined };
const context = createContext(holder);

/**
 * Runs synchronous work, for maxRuleMs at the most; may not be called by its own work.
 *
 * SECURITY: a loop in a loop over a list, or a pattern such as `(a+)+$` with a reason made for it, would hold up
 * everybody's sessions.
 * @throws what the work throws; an Error whose code is `ERR_SCRIPT_EXECUTION_TIMEOUT` where it takes longer
 */
export function runBounded<T>(work: () => T): T {
  let result: { readonly value: T } | undefined;
  holder.work = () => {
    result = { value: work() };
  };
  for (let attempt = 1; result === undefined && attempt <= maxAttempts; attempt += 1) {
    const before = process.threadCpuUsage();
    try {
      script.runInContext(context, { timeout: maxRuleMs });
    } catch (error) {
      const { user, system } = process.threadCpuUsage(before);
      // The watchdog's clock goes on while this thread waits for a processor, and that is no work of the rule.
      const waited = (user + system) / 1000 < maxRuleMs / 2;
      if (!(isTimeout(error) && waited && attempt < maxAttempts)) {
        throw error;
      }
    }
  }
  if (result === undefined) {
    throw new Error("The work ended without a result.");
  }
  return result.value;
}

export function isTimeout(error: unknown): boolean {
  // Made in the script's own realm, it is no instance of this one's Error.
  return (
    typeof error === "object" &&
    error !== null &&
    "code" in error &&
    error.code === "ERR_SCRIPT_EXECUTION_TIMEOUT"
  );
}
