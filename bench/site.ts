// Where the paths begin and end: one database, a folder, and the place that clients run at.

import { setTimeout as delay } from "node:timers/promises";
import { execa } from "execa";
import type { RunningPostgres } from "../test/support/postgres.ts";

export interface Site {
  readonly folder: string;
  readonly postgres: RunningPostgres;
  /** The address under which clients reach the servers of the paths. */
  readonly host: string;
  /** What stands in front of a client's command so that it runs where clients are; empty on the same machine. */
  readonly far: readonly string[];
  /** libpq's variables for the database itself. */
  readonly direct: Readonly<Record<string, string>>;
  /** Resolves when a query is answered through these variables. */
  untilAnswers(environment: Readonly<Record<string, string>>): Promise<void>;
}

const patienceMs = 20_000;

/** @param port where clients reach the database itself */
export function createSite(
  folder: string,
  postgres: RunningPostgres,
  host: string,
  port: number,
  far: readonly string[] = [],
): Site {
  const direct = {
    PGHOST: host,
    PGPORT: String(port),
    PGUSER: postgres.superuser,
    PGPASSWORD: postgres.password,
    PGDATABASE: "orders",
    PGGSSENCMODE: "disable",
  };
  return {
    folder,
    postgres,
    host,
    far,
    direct,
    async untilAnswers(environment) {
      const deadline = Date.now() + patienceMs;
      for (;;) {
        const { failed, stderr } = await runFar(
          far,
          ["psql", "-Xwqc", "SELECT 1"],
          environment,
          false,
        );
        if (!failed) {
          return;
        }
        if (Date.now() > deadline) {
          throw new Error(`A path does not answer: ${stderr}`);
        }
        await delay(100);
      }
    },
  };
}

/** Runs a client's command where clients are, with these variables of libpq. */
export async function runFar(
  far: readonly string[],
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
  reject = true,
): Promise<{ readonly failed: boolean; readonly stdout: string; readonly stderr: string }> {
  const [program = "", ...args] = [...far, ...command];
  const { failed, stdout, stderr } = await execa(program, args, {
    env: { PGSSLMODE: "prefer", ...environment },
    reject,
    stdin: "ignore",
  });
  return { failed, stdout, stderr };
}
