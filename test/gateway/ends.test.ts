// How sessions end, whatever they are at: nothing passes and nothing runs any more, and the client is told where it can be.

import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { endedError } from "../../packages/server/src/access/grants/grant.ts";
import type { GrantId } from "../../packages/shared/src/ids.ts";
import {
  encodeBind,
  encodeExecute,
  encodeParse,
  encodeQuery,
} from "../../packages/shared/src/postgres/encoder.ts";
import { backendMessages, frontendMessages } from "../../packages/shared/src/postgres/messages.ts";
import { encodeMessage } from "../../packages/shared/src/postgres/writer.ts";
import { eventually } from "../support/eventually.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { createRig, type Rig } from "./rig.ts";
import { startUp, WireClient } from "./wire-client.ts";

const durationMs = 600_000;
const bytes = (text: string) => new TextEncoder().encode(text);

describe("the end of a session", () => {
  let postgres: RunningPostgres;
  let rig: Rig;
  let grant: GrantId;
  let client: WireClient;
  let pid: number;
  beforeAll(async () => {
    postgres = await startPostgres({ version: "system", settings: { log_statement: "all" } });
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    rig = await createRig(postgres);
    grant = await rig.grant("alice", durationMs);
    client = await WireClient.open(await rig.agent("alice"), grant);
    pid = rig.gateway.sessions()[0]?.backendPid ?? 0;
  });
  afterEach(() => rig.close());

  const expire = () => {
    rig.access.clock.ms += durationMs;
  };
  /** Resolves when the server process of the session is gone. */
  const backendGone = () =>
    rig.superuser(`do $$ begin
      for round in 1..500 loop
        perform pg_stat_clear_snapshot();
        exit when not exists (select from pg_stat_activity where pid = ${pid});
        perform pg_sleep(0.01);
      end loop;
      assert not exists (select from pg_stat_activity where pid = ${pid});
    end $$`);
  /** Resolves when the session's server process waits for this. */
  const backendWaits = (event: string) =>
    eventually(`the backend waits for ${event}`, async () => {
      const waiting = `select wait_event = '${event}' from pg_stat_activity where pid = ${pid}`;
      return (await rig.superuser(waiting))[0]?.[0] === true;
    });
  /** Resolves when the session's server process runs something, or is idle again. */
  const backendState = (state: string) =>
    rig.superuser(`do $$ begin
      for round in 1..500 loop
        perform pg_stat_clear_snapshot();
        exit when exists (select from pg_stat_activity where pid = ${pid} and state = '${state}');
        perform pg_sleep(0.01);
      end loop;
    end $$`);
  const over = { severity: "FATAL", code: "57P01", message: "The time for prod-orders is over." };

  test("comes while it is idle: a native error with the next command, then the end (invariant 30)", async () => {
    expire();
    expect(await client.lastError()).toMatchObject({
      ...over,
      hint: expect.stringContaining("jitdb request prod-orders"),
    });
    await backendGone();
    expect(await rig.recorded("session.closed")).toMatchObject([{ end: "expired", grant }]);
  });

  test("comes in the middle of a query, which is cancelled (invariant 30)", async () => {
    await client.send(encodeQuery("select pg_sleep(60)"));
    await backendState("active");
    const startedAt = performance.now();
    expire();
    expect(await client.lastError()).toMatchObject(over);
    await backendGone();
    expect(performance.now() - startedAt).toBeLessThan(1000);
    await rig.recorded("session.closed");
    expect(rig.records("statement.outcome")).toMatchObject([{ result: "terminated" }]);
  });

  test("does not let what was piped behind a running query begin (invariant 30)", async () => {
    await rig.superuser("drop table if exists piped; create table piped (a int)");
    await rig.superuser("grant all on piped to public");
    await client.send(
      encodeQuery("select pg_sleep(60)"),
      encodeQuery("insert into piped values (1)"),
    );
    await backendState("active");
    expire();
    await client.lastError();
    await backendGone();
    expect(await rig.superuser("select count(*)::int from piped")).toEqual([[0]]);
  });

  test("comes in a transaction, which is rolled back (invariant 30)", async () => {
    await rig.superuser("drop table if exists kept; create table kept (a int)");
    await rig.superuser("grant all on kept to public");
    await client.query("begin");
    await client.query("insert into kept values (1)");
    expire();
    expect(await client.lastError()).toMatchObject(over);
    await backendGone();
    expect(await rig.superuser("select count(*)::int from kept")).toEqual([[0]]);
  });

  test("comes in a COPY from the client (invariant 30)", async () => {
    await client.query("create temp table t (a text)");
    await client.send(encodeQuery("copy t from stdin"));
    await client.until(backendMessages.CopyInResponse);
    await client.send(encodeMessage(frontendMessages.CopyData, bytes("row\n")));
    expire();
    expect(await client.lastError()).toMatchObject(over);
    await backendGone();
  });

  test("comes to a client that never reads: it is reset, and the backend gone, within a second (invariant 30)", async () => {
    await client.send(
      encodeQuery("copy (select repeat('x', 1000) from generate_series(1, 1000000)) to stdout"),
    );
    await backendWaits("ClientWrite");
    const startedAt = performance.now();
    expire();
    expect(await client.stream.untilEnded()).toMatchObject({ code: "grant.expired" });
    await backendGone();
    expect(performance.now() - startedAt).toBeLessThan(1000);
  });

  test("comes by a read before any timer looks (invariant 30)", async () => {
    await rig.close();
    rig = await createRig(postgres, { limits: { tickMs: 3_600_000 } });
    grant = await rig.grant("alice", durationMs);
    client = await WireClient.open(await rig.agent("alice"), grant);
    expire();
    await client.send(encodeQuery("select 'too late'"));
    expect(await client.lastError()).toMatchObject(over);
    expect(await readFile(postgres.serverLog, "utf8")).not.toContain("too late");
  });

  test("refuses what opens at the end, and closes what is about to open then (invariant 7)", async () => {
    const user = rig.userOf(grant);
    const asked = new Promise<void>((resolve) => {
      rig.setUser(grant, () => {
        resolve();
        return { ...user, state: "planned" };
      });
    });
    const opening = client.stream.agent.open("session", grant, startUp());
    const refused = expect(opening.opened()).rejects.toMatchObject({ code: "grant.revoked" });
    await asked;
    await revoke();
    await refused;
    expire();
    await expect(
      client.stream.agent.open("session", grant, startUp()).opened(),
    ).rejects.toMatchObject({ code: "grant.expired" });
  });

  const revoke = () =>
    rig.gateway.endGrant(
      grant,
      "revoked",
      endedError({
        database_name: "prod-orders",
        end: "revoked",
        end_reason: "enough",
      }),
    );

  test("comes by revocation, resolves when the connections are gone, and tells the agent", async () => {
    const second = await WireClient.open(client.stream.agent, grant);
    expect(await revoke()).toBe(2);
    expect(rig.gateway.sessions()).toEqual([]);
    await backendGone();
    const error = { code: "57P01", message: "The grant for prod-orders was revoked: enough" };
    expect(await client.lastError()).toMatchObject(error);
    expect(await second.lastError()).toMatchObject(error);
    const { agent } = client.stream;
    await agent.until(() => agent.notices.length > 0);
    expect(agent.notices).toMatchObject([{ kind: "revoked", grant }]);
  });

  test("comes with a person's: their tunnel says why", async () => {
    const { agent } = client.stream;
    const { personId } = rig.access.caller("alice");
    expect(await rig.gateway.endPerson(personId, "The account was disabled.")).toBe(1);
    expect(await agent.closed).toBe(4403);
    expect(agent.goaway).toMatchObject({ code: "login.disabled" });
    expect(await client.lastError()).toMatchObject({ severity: "FATAL", code: "57P01" });
    await backendGone();
  });

  test.each([
    ["a reset", () => client.stream.reset()],
    ["a close without a goodbye", () => client.stream.close()],
    ["the goodbye of the agent", () => client.stream.agent.ws.close(1000)],
  ])("comes with %s while a query runs, which is cancelled (invariant 30)", async (_, leave) => {
    await client.send(encodeQuery("select pg_sleep(60)"));
    await backendState("active");
    leave();
    await backendGone();
    const [closed] = await rig.recorded("session.closed");
    expect(["client_closed", "tunnel_lost"]).toContain(closed?.end);
  });

  test("comes where the journal can't be written: nothing runs, and the client learns it (invariant 20)", async () => {
    rig.setDiskFull(true);
    await client.send(encodeQuery("select 'unrecorded'"));
    expect(await client.lastError()).toMatchObject({ severity: "FATAL", code: "58030" });
    await backendGone();
    expect(await readFile(postgres.serverLog, "utf8")).not.toContain("unrecorded");
    await expect(
      client.stream.agent.open("session", grant, startUp()).opened(),
    ).rejects.toMatchObject({ code: "audit.unavailable" });
    rig.setDiskFull(false);
    await WireClient.open(client.stream.agent, grant);
    expect(rig.records("statement.outcome")).toMatchObject([{ result: "refused" }]);
    expect(rig.records("session.closed")).toMatchObject([{ end: "audit_unavailable" }]);
  });

  test("holds the end of a long statement back until its record is written (invariant 20)", async () => {
    const long = encodeQuery(`select 'unrecorded long', '${"x".repeat(600_000)}'`);
    const sent = client.stream.write(long.subarray(0, 500_000));
    await backendState("idle");
    await sent;
    rig.setDiskFull(true);
    await client.send(long.subarray(500_000));
    expect(await client.lastError()).toMatchObject({ severity: "FATAL", code: "58030" });
    await backendGone();
    expect(await readFile(postgres.serverLog, "utf8")).not.toContain("unrecorded long");
  });

  test("does not lose an Execute without a Sync when the client is gone (invariant 30)", async () => {
    await client.send(
      encodeParse({ statement: bytes(""), text: bytes("select pg_sleep(60)"), parameterTypes: [] }),
      encodeBind({
        portal: bytes(""),
        statement: bytes(""),
        parameterFormats: [],
        parameters: [],
        resultFormats: [],
      }),
      encodeExecute({ portal: bytes(""), maxRows: 0 }),
      encodeMessage(frontendMessages.Flush),
    );
    await backendState("active");
    client.stream.reset();
    await backendGone();
  });

  test("is announced five minutes and one minute before, to the agent and in the client's protocol", async () => {
    const { agent } = client.stream;
    rig.access.clock.ms += durationMs - 300_000;
    await agent.until(() => agent.notices.length === 1);
    expect(agent.notices[0]).toMatchObject({
      kind: "expiring",
      grant,
      message: "Access to prod-orders ends in 5m.",
    });
    const first = await client.next();
    expect(WireClient.notices(first === undefined ? [] : [first])).toMatchObject([
      { severity: "WARNING", message: "Access to prod-orders ends in 5m." },
    ]);
    expect((await client.query("select 1")).rows).toEqual([["1"]]);
    rig.access.clock.ms += 240_000;
    await agent.until(() => agent.notices.length === 2);
    expect(agent.notices[1]).toMatchObject({ message: "Access to prod-orders ends in 1m." });
  });

  test("comes with the server's: every client is told, every row is closed", async () => {
    await rig.gateway.close("maintenance");
    expect(await client.lastError()).toMatchObject({
      severity: "FATAL",
      code: "57P01",
      hint: "Connect again in a moment; jitdb finds a server that is back by itself.",
    });
    expect(client.stream.agent.goaway).toMatchObject({ code: "tunnel.going_away" });
    const rows = await rig.access.store.db.selectFrom("sessions").selectAll().execute();
    expect(rows).toMatchObject([{ end: "server_stopped", person_id: "usr_alice", statements: 0 }]);
    expect(rows[0]?.closed_at).not.toBeNull();
  });

  test("is made up for at the next start where a crash left rows open", async () => {
    await client.query("select 1");
    await rig.gateway.rowsWritten();
    expect(await rig.gateway.reconcile()).toBe(1);
    const row = await rig.access.store.db.selectFrom("sessions").selectAll().executeTakeFirst();
    expect(row).toMatchObject({ end: "server_stopped" });
  });
});
