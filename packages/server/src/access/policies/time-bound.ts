// A bound on what a rule's author may make the server compute: conditions and patterns run under a watchdog.

import { createContext, Script } from "node:vm";

/** Most time that one condition or pattern may take. A sound one needs microseconds. */
export const maxRuleMs = 100;

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
  script.runInContext(context, { timeout: maxRuleMs });
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
