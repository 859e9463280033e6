import { describe, expect, test } from "vitest";
import { endLimits, endUser, remedySql } from "./end.ts";
import type { EndStep, Executor, Obstacle, StepResult } from "./executor.ts";

const user = { name: "jit_test_alice_0000000000000", oid: 1, profile: "read-only" };
const clean: StepResult = { did: [], obstacles: [] };

function obstacle(name: string, database = "orders"): Obstacle {
  return { message: `${name} is blocked`, remedy: { database, statements: [`CLEAR ${name}`] } };
}

/** Runs an end in which each step answers by the number of the try, from 0; the last answer stays. */
async function run(answers: Partial<Record<EndStep, readonly StepResult[]>>) {
  const steps: EndStep[] = [];
  const step = (name: EndStep) => async () => {
    const tries = steps.filter((done) => done === name).length;
    const known = answers[name] ?? [clean];
    return { terminated: 0, ...(known[tries] ?? known.at(-1) ?? clean) };
  };
  const executor = {
    lock: step("lock"),
    terminate: step("terminate"),
    rollbackPrepared: step("rollbackPrepared"),
    clean: step("clean"),
    drop: step("drop"),
    verify: step("verify"),
  } as unknown as Executor;
  let closed = 0;
  const report = await endUser(
    executor,
    user,
    async (name) => {
      steps.push(name);
    },
    async () => {
      closed++;
    },
  );
  return { ...report, steps: steps.join(" "), closed: closed === 1 };
}

const blocked = (name: string): StepResult => ({ did: [], obstacles: [obstacle(name)] });

describe("the end of a user", () => {
  test("takes every step once where nothing stands in the way", async () => {
    expect(await run({})).toEqual({
      closed: true,
      gone: true,
      obstacles: [],
      steps: "lock terminate rollbackPrepared clean drop verify",
    });
  });

  test("goes round again until a lock that was blocked succeeds (invariant 29)", async () => {
    const { steps, gone } = await run({ lock: [blocked("lock"), clean] });
    expect(gone).toBe(true);
    expect(steps).toBe(
      "lock terminate rollbackPrepared lock terminate rollbackPrepared clean drop verify",
    );
  });

  test("cleans what it can while the doors stay open, and does not drop", async () => {
    const report = await run({
      rollbackPrepared: [blocked("prepared")],
      verify: [blocked("role")],
    });
    expect(report).toMatchObject({ closed: false, gone: false, obstacles: [obstacle("prepared")] });
    expect(report.steps.match(/lock/g)).toHaveLength(endLimits.rounds);
    expect(report.steps).toMatch(/clean verify$/);
  });

  test("believes the verification, not the steps", async () => {
    expect(await run({ clean: [blocked("table")] })).toMatchObject({ gone: true, obstacles: [] });
    expect(await run({ verify: [blocked("session")] })).toMatchObject({
      gone: false,
      obstacles: [obstacle("session")],
    });
  });
});

describe("the SQL for a person", () => {
  test("connects to each database in turn, and no message breaks out of its comment", () => {
    const obstacles = [obstacle("a"), { ...obstacle("b", 'o"ther'), message: "b\n; DROP TABLE x" }];
    expect(remedySql(obstacles, { database: "orders", statements: ["DROP ROLE r"] })).toBe(
      `\\connect "orders"
-- a is blocked
CLEAR a;
\\connect "o""ther"
-- b ; DROP TABLE x
CLEAR b;
\\connect "orders"
DROP ROLE r;
`,
    );
  });
});
