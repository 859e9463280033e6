// A test a script, and at the end the audit of all of them.

import { afterAll, beforeAll, describe, expect, type TestContext, test } from "vitest";
import type { Journal, Numbered } from "../support/journal.ts";
import type { PostgresVersion } from "../support/postgres.ts";
import { requireProgram } from "../support/psql.ts";
import { Bench } from "./bench.ts";
import type { Script } from "./script.ts";

/** Registers the tests of the scripts on a version of PostgreSQL. */
export function runBench(version: PostgresVersion, scripts: readonly Script[]): void {
  let bench: Bench;
  beforeAll(async () => {
    bench = await Bench.open(version);
  });
  afterAll(() => bench?.close());

  describe("nobody can tell the tunnel from a direct session (invariant 19)", () => {
    // Not test.for, which cuts names.
    for (const script of scripts) {
      test(`${script.speaks}: ${script.name}`, async (context) => {
        requirePrograms(script, context);
        const { direct, tunnelled } = await bench.run(script);
        expect(tunnelled.results).toEqual(direct.results);
        expect(tunnelled.traces).toEqual(direct.traces);
        expect(tunnelled.effects).toEqual(direct.effects);
      });
    }
  });

  describe("the server's own log as the oracle of the audit", () => {
    test("has no statement that is not on record in its session, in order, with its parameters; and the record makes none up (invariants 20, 21)", async () => {
      expect(bench.auditFindings(await bench.journal())).toEqual([]);
    });

    test("shows any statement that is taken out of the record, or that did not run", async () => {
      const journal = await bench.journal();
      const ran = journal.of("statement.outcome").filter(({ result }) => result === "complete");
      const ids = new Set(ran.map(({ statement }) => statement));
      const intents = journal.of("statement.intent").filter((one) => ids.has(one.statement));
      const [victim] = intents;
      const without: Pick<Journal, "of"> = {
        of: (kind) => journal.of(kind).filter((record) => !isIntent(record, victim)),
      };
      expect(bench.auditFindings(without)).toMatchObject([
        expect.stringContaining("not on record"),
      ]);
      const twice: Pick<Journal, "of"> = {
        of: (kind) => journal.of(kind).flatMap((it) => (isIntent(it, victim) ? [it, it] : [it])),
      };
      expect(bench.auditFindings(twice)).toMatchObject([expect.stringContaining("not logged")]);
    });
  });
}

/** Whether a record is this very intent. */
function isIntent(record: Numbered, intent: Numbered | undefined): boolean {
  return record.seq === intent?.seq;
}

const programs = {
  raw: [],
  pg: [],
  psql: ["psql"],
  pgbench: ["psql", "pgbench"],
  pg_dump: ["psql", "pg_dump", "pg_restore"],
} as const;

function requirePrograms({ speaks }: Script, context: TestContext): void {
  for (const program of programs[speaks]) {
    requireProgram(program, context);
  }
}
