// Tests that this machine cannot run say why; the closing line of `npm test` counts them by their reasons.

import type { TestContext } from "vitest";

/** Skips the test. Under `CI=true` it fails instead: nothing may be missing there. */
export function skip(context: TestContext, reason: string): never {
  if (process.env["CI"] === "true") {
    throw new Error(`Under CI=true nothing is skipped, but ${reason}.`);
  }
  Object.assign(context.task.meta, { skipReason: reason });
  return context.skip(reason);
}
