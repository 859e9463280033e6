// A server that has been there for years does in rest what a new one does: nothing that it asks its store by itself, again and again, may
// read a table whose rows stay for ever from one end to the other.

import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { SqliteThread } from "../../packages/server/src/store/sqlite-thread.ts";
import type { WorkerRequest } from "../../packages/server/src/store/sqlite-worker.ts";
import { AccessRig } from "../access/rig.ts";

/** Longer than the longest pause between two looks of what looks often. */
const watchMs = 6000;

/** Tables that a row is added to with each request, session, statement or login, and never or late taken from. */
const growing = [
  "approvals",
  "audit_records",
  "comparisons",
  "devices",
  "ephemeral_users",
  "grants",
  "oauth_artifacts",
  "outbox",
  "requests",
  "sessions",
  "used_proofs",
];

const policies = `
  - name: readers
    who: { groups: [developers] }
    databases: [prod-orders]
    profiles: [read-only]
    maxDuration: 1h
    approval: automatic
  - name: writers
    who: { groups: [developers] }
    databases: [prod-orders]
    profiles: [read-write]
    maxDuration: 1h
    approval: { count: 1, groups: [dba] }
`;

let rig: AccessRig;
beforeAll(async () => {
  rig = await AccessRig.open({ policies, people: { alice: ["developers"], bob: ["dba"] } });
});
afterAll(() => rig?.close());

test("at rest a server reads no table from one end to the other that grows with its history", async () => {
  const alice = await rig.logIn("alice");
  await alice.ask();
  await alice.ask({ profile: "read-write" });
  const ask = vi.spyOn(SqliteThread.prototype, "ask");
  await delay(watchMs);
  const asked = new Map<string, [thread: SqliteThread, readonly unknown[]]>();
  for (const [index, [request]] of ask.mock.calls.entries()) {
    if (request.kind === "query") {
      asked.set(request.sql, [ask.mock.contexts[index] as SqliteThread, request.parameters]);
    }
  }
  ask.mockRestore();
  const scans: string[] = [];
  for (const [sql, [thread, parameters]] of asked) {
    const plan = await explain(thread, { kind: "query", sql, parameters });
    scans.push(...plan.filter(isLong).map((step) => `${step}: ${sql}`));
  }
  expect(asked.size).toBeGreaterThan(5);
  expect(scans).toEqual([]);
});

/** Steps of SQLite's plan (sqlite.org/eqp.html). */
async function explain(
  thread: SqliteThread,
  { sql, parameters }: Extract<WorkerRequest, { kind: "query" }>,
): Promise<string[]> {
  const answer = await thread.ask({ kind: "query", sql: `explain query plan ${sql}`, parameters });
  return answer.kind === "rows"
    ? (answer.rows as { readonly detail: string }[]).map(({ detail }) => detail)
    : [];
}

function isLong(step: string): boolean {
  const [, table = ""] = /^SCAN (\w+)/.exec(step) ?? [];
  return growing.includes(table);
}
