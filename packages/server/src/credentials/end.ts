// The end of a user (invariant 29): independent steps, each tried whatever became of the others, until nothing is left.

import type { EndStep, Executor, Obstacle, StepResult, UserRef } from "./executor.ts";

export const endLimits = {
  /** Rounds of closing the doors in one run: a prepared transaction that is gone frees the lock for the next. */
  rounds: 4,
} as const;

export interface EndReport {
  /** No login is possible, no session and no prepared transaction is left. */
  readonly closed: boolean;
  readonly gone: boolean;
  /** What stands in the way; empty exactly when the user is gone. */
  readonly obstacles: readonly Obstacle[];
}

/** Is told of every step that was done; an error that it throws ends the run. */
export type StepObserver = (step: EndStep, result: StepResult) => Promise<void>;

/**
 * Runs every step that can be run now. A user that is gone already counts as ended.
 * @param onClosed called once, between the doors being closed and the cleaning
 * @throws JitdbError `database.unavailable` or `database.misconfigured` when nothing more can be done at the moment
 */
export async function endUser(
  executor: Executor,
  user: UserRef,
  observe: StepObserver,
  onClosed: () => Promise<void>,
): Promise<EndReport> {
  const run = async (step: EndStep): Promise<StepResult> => {
    const result = await executor[step](user);
    await observe(step, result);
    return result;
  };
  const doors = await closeDoors(run);
  if (doors.length === 0) {
    await onClosed();
  }
  const cleaned = await run("clean");
  // A role that is dropped before its prepared transactions leaves them to superusers.
  const dropped = doors.length === 0 ? await run("drop") : { did: [], obstacles: [] };
  const rest = await run("verify");
  const gone = rest.obstacles.length === 0;
  const known = [...doors, ...cleaned.obstacles, ...dropped.obstacles];
  return {
    closed: doors.length === 0,
    gone,
    obstacles: gone ? [] : known.length > 0 ? known : rest.obstacles,
  };
}

/** Terminates also while the lock is blocked, and looks again after it: who logged in just before is found. */
async function closeDoors(
  run: (step: EndStep) => Promise<StepResult>,
): Promise<readonly Obstacle[]> {
  let obstacles: readonly Obstacle[] = [];
  for (let round = 0; round < endLimits.rounds; round++) {
    const results = [await run("lock"), await run("terminate"), await run("rollbackPrepared")];
    obstacles = results.flatMap((result) => result.obstacles);
    if (obstacles.length === 0) {
      break;
    }
  }
  return obstacles;
}

/** A script for psql that clears the obstacles in their order, then drops the user. Run by a superuser. */
export function remedySql(obstacles: readonly Obstacle[], lastly: Obstacle["remedy"]): string {
  const lines: string[] = [];
  let database: string | undefined;
  for (const { remedy, message } of [...obstacles, { message: "", remedy: lastly }]) {
    if (remedy.database !== database) {
      database = remedy.database;
      lines.push(`\\connect "${database.replaceAll('"', '""')}"`);
    }
    lines.push(...(message === "" ? [] : [`-- ${message.replaceAll(/\p{Cc}/gu, " ")}`]));
    lines.push(...remedy.statements.map((statement) => `${statement};`));
  }
  return `${lines.join("\n")}\n`;
}
