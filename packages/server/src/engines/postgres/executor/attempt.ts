// One statement of the end that may be refused: what the database says against it becomes an obstacle, not an exception.

import pg from "pg";
import type { Obstacle, Remedy, StepResult } from "../../../credentials/executor.ts";

export interface Attempt {
  /** Completes "Could not …". */
  readonly what: string;
  /** Asked for only after a refusal. */
  readonly remedy: () => Remedy;
  /** Returns what it did, a sentence each. */
  readonly work: () => Promise<readonly string[]>;
}

/** PostgreSQL manual, appendix A. */
export const sqlstates = {
  lockNotAvailable: "55P03",
  queryCanceled: "57014",
  /** A role that somebody else dropped in the meantime: what was wanted. */
  undefinedObject: "42704",
  dependentObjects: "2BP01",
} as const;

/** @throws JitdbError `database.unavailable` and `database.misconfigured`; refused statements are returned */
export async function attempt({ what, remedy, work }: Attempt): Promise<StepResult> {
  try {
    return { did: await work(), obstacles: [] };
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) {
      throw error;
    }
    return error.code === sqlstates.undefinedObject
      ? { did: [], obstacles: [] }
      : { did: [], obstacles: [toObstacle(what, remedy(), error)] };
  }
}

function toObstacle(what: string, remedy: Remedy, error: pg.DatabaseError): Obstacle {
  const blocked =
    error.code === sqlstates.lockNotAvailable || error.code === sqlstates.queryCanceled;
  const reason = blocked
    ? "another session or prepared transaction holds a lock on it"
    : [error.message, error.detail].filter(Boolean).join("; ");
  return { message: `Could not ${what}: ${reason}`, remedy };
}

/** One result out of several: complete when all are. */
export function joinResults(results: readonly StepResult[]): StepResult {
  return {
    did: results.flatMap(({ did }) => did),
    obstacles: results.flatMap(({ obstacles }) => obstacles),
  };
}
