// Promises of docs/security.md that belong to no single part: whose name a record has, and what a session cannot lift.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createRig, type Rig } from "../gateway/rig.ts";
import { startUp, WireClient } from "../gateway/wire-client.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";

const durationMs = 600_000;

describe("a session", () => {
  let postgres: RunningPostgres;
  let rig: Rig;
  beforeAll(async () => {
    postgres = await startPostgres({ version: "system" });
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    rig = await createRig(postgres);
  });
  afterEach(() => rig.close());

  test("is recorded as its grant's person's, whatever it calls itself (invariant 25)", async () => {
    const grant = await rig.grant("alice");
    const { userName } = rig.userOf(grant);
    await rig.superuser(`create role bob; grant bob to ${userName}`);
    const packet = startUp([
      ["user", "bob"],
      ["application_name", "bob"],
    ]);
    const client = await WireClient.open(await rig.agent("alice"), grant, packet);
    await client.query("set role bob");
    expect((await client.query("select current_user")).rows).toEqual([["bob"]]);
    const records = [
      ...(await rig.recorded("session.opened")),
      ...(await rig.recorded("statement.intent", 2)),
      ...(await rig.recorded("statement.outcome", 2)),
    ];
    expect(new Set(records.map(({ person }) => person))).toEqual(new Set(["alice"]));
    await rig.superuser("drop role bob");
  });

  test("cannot lift its end by any setting (invariant 35)", async () => {
    const grant = await rig.grant("alice", durationMs);
    const client = await WireClient.open(await rig.agent("alice"), grant);
    await client.query("set statement_timeout = 0; set idle_session_timeout = 0");
    await client.query("alter role current_user valid until 'infinity'");
    await client.query("alter role current_user set idle_session_timeout = 0");
    rig.access.clock.ms += durationMs;
    expect(await client.lastError()).toMatchObject({ severity: "FATAL", code: "57P01" });
    expect(await rig.recorded("session.closed")).toMatchObject([{ end: "expired" }]);
  });
});
