// The soft end: at the end of a grant no transaction begins, one that runs may finish, and after its time all is cut.

import { readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { endedError } from "../../packages/server/src/access/grants/grant.ts";
import type { GrantId } from "../../packages/shared/src/ids.ts";
import { parseBackendKeyData } from "../../packages/shared/src/postgres/backend.ts";
import {
  encodeBind,
  encodeExecute,
  encodeParse,
  encodeQuery,
} from "../../packages/shared/src/postgres/encoder.ts";
import { backendMessages, frontendMessages } from "../../packages/shared/src/postgres/messages.ts";
import { encodeCancelRequest } from "../../packages/shared/src/postgres/startup.ts";
import { encodeMessage } from "../../packages/shared/src/postgres/writer.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { createRig, type Rig } from "./rig.ts";
import { startUp, WireClient } from "./wire-client.ts";

const durationMs = 600_000;
const drainMs = 60_000;
const bytes = (text: string) => new TextEncoder().encode(text);
/** A statement by the extended protocol, without its Sync. */
const run = (sql: string) => [
  encodeParse({ statement: bytes(""), text: bytes(sql), parameterTypes: [] }),
  encodeBind({
    portal: bytes(""),
    statement: bytes(""),
    parameterFormats: [],
    parameters: [],
    resultFormats: [],
  }),
  encodeExecute({ portal: bytes(""), maxRows: 0 }),
];
const over = { severity: "FATAL", code: "57P01", message: "The time for prod-orders is over." };

describe("the soft end of a session", () => {
  let postgres: RunningPostgres;
  let rig: Rig;
  let grant: GrantId;
  let client: WireClient;
  beforeAll(async () => {
    postgres = await startPostgres({ version: "system", settings: { log_statement: "all" } });
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    rig = await createRig(postgres);
    grant = await rig.grant("alice", durationMs, drainMs);
    client = await WireClient.open(await rig.agent("alice"), grant);
    await rig.superuser("drop table if exists kept; create table kept (a int)");
    await rig.superuser("grant all on kept to public");
  });
  afterEach(() => rig.close());

  const pidOf = (index = 0) => rig.gateway.sessions()[index]?.backendPid ?? 0;
  const expire = () => {
    rig.access.clock.ms += durationMs;
  };
  const kept = async () => (await rig.superuser("select a from kept order by a")).flat();
  /** Resolves when the session's server process runs something. */
  const running = (pid: number) =>
    rig.superuser(`do $$ begin
      for round in 1..500 loop
        perform pg_stat_clear_snapshot();
        exit when exists (select from pg_stat_activity where pid = ${pid} and state = 'active');
        perform pg_sleep(0.01);
      end loop;
    end $$`);
  const backendGone = (pid: number) =>
    rig.superuser(`do $$ begin
      for round in 1..500 loop
        perform pg_stat_clear_snapshot();
        exit when not exists (select from pg_stat_activity where pid = ${pid});
        perform pg_sleep(0.01);
      end loop;
      assert not exists (select from pg_stat_activity where pid = ${pid});
    end $$`);
  /** The warning that the client reads next. */
  const warning = async () => {
    const message = await client.next();
    return WireClient.notices(message === undefined ? [] : [message])[0];
  };
  const inTransaction = async () => {
    await client.query("begin");
    await client.query("insert into kept values (1)");
  };

  test("lets a transaction that runs go on and finish, says so in it, and ends behind it", async () => {
    await inTransaction();
    expire();
    expect(await warning()).toMatchObject({
      severity: "WARNING",
      message:
        "The time for prod-orders is over: no new transaction begins, and this one has 1m to finish.",
      hint: expect.stringMatching(/before 2026-01-01T00:11:00.000Z\. .*jitdb request prod-orders/),
    });
    expect(rig.gateway.isDraining(grant)).toBe(true);
    expect((await client.query("insert into kept values (2)")).tags).toEqual(["INSERT 0 1"]);
    expect((await client.query("commit")).tags).toEqual(["COMMIT"]);
    expect(await client.lastError()).toMatchObject({
      ...over,
      hint: expect.stringContaining("jitdb request prod-orders"),
    });
    expect(await kept()).toEqual([1, 2]);
    expect(await rig.recorded("session.closed")).toMatchObject([{ end: "drained", grant }]);
    expect(rig.records("session.draining")).toMatchObject([
      { grant, until: "2026-01-01T00:11:00.000Z", person: "alice" },
    ]);
    expect(rig.gateway.isDraining(grant)).toBe(false);
  });

  test("ends a session at rest at once, and opens no other", async () => {
    expire();
    expect(await client.lastError()).toMatchObject(over);
    await expect(
      client.stream.agent.open("session", grant, startUp()).opened(),
    ).rejects.toMatchObject({ code: "grant.expired" });
  });

  test("never sends on what a client has put behind its COMMIT, whole or in pieces", async () => {
    await inTransaction();
    expire();
    await warning();
    const ahead = Buffer.concat([
      encodeQuery("commit"),
      encodeQuery("begin"),
      encodeQuery("insert into kept values (3)"),
      encodeQuery("commit"),
    ]);
    // In the middle of a header, and of a body.
    for (const [start, end] of [
      [0, 15],
      [15, 20],
      [20, ahead.length],
    ] as const) {
      await client.stream.write(ahead.subarray(start, end));
    }
    const { tags } = await client.result();
    expect(tags).toEqual(["COMMIT"]);
    expect(await client.lastError()).toMatchObject(over);
    expect(await kept()).toEqual([1]);
    expect(await readFile(postgres.serverLog, "utf8")).not.toContain("values (3)");
    expect(
      rig.records("statement.intent").map((intent) => "text" in intent && intent.text),
    ).toEqual(["begin", "insert into kept values (1)", "commit"]);
  });

  test("passes what a client sends ahead within the transaction, in its order", async () => {
    await inTransaction();
    expire();
    await warning();
    await client.send(...[2, 3, 4].map((a) => encodeQuery(`insert into kept values (${a})`)));
    for (const _ of [2, 3, 4]) {
      expect((await client.result()).tags).toEqual(["INSERT 0 1"]);
    }
    await client.query("commit");
    expect(await kept()).toEqual([1, 2, 3, 4]);
  });

  test("counts a statement that runs by itself as a transaction", async () => {
    await client.send(encodeQuery("insert into kept select 5 from pg_sleep(0.5)"));
    await running(pidOf());
    expire();
    expect(rig.gateway.isDraining(grant)).toBe(true);
    expect(await client.result()).toMatchObject({ tags: ["INSERT 0 1"], error: undefined });
    expect(await client.lastError()).toMatchObject(over);
    expect(await kept()).toEqual([5]);
  });

  test("lets the messages of a half-sent pipeline come to their Sync", async () => {
    await client.send(...run("insert into kept values (6)"), encodeMessage(frontendMessages.Flush));
    await client.until(backendMessages.CommandComplete);
    expire();
    await warning();
    await client.send(...run("insert into kept values (7)"), encodeMessage(frontendMessages.Sync));
    expect((await client.result()).tags).toEqual(["INSERT 0 1"]);
    expect(await client.lastError()).toMatchObject(over);
    expect(await kept()).toEqual([6, 7]);
  });

  test("is a hard one for whoever has sent further statements ahead: they can't be called back", async () => {
    await client.send(
      encodeQuery("insert into kept select 8 from pg_sleep(60)"),
      encodeQuery("insert into kept values (9)"),
    );
    const pid = pidOf();
    await running(pid);
    expire();
    expect(await client.lastError()).toMatchObject(over);
    await backendGone(pid);
    expect(await kept()).toEqual([]);
    expect(await rig.recorded("session.closed")).toMatchObject([{ end: "expired" }]);
  });

  test("is over when the drain is: what runs is cut and rolled back within a second (invariant 30)", async () => {
    await inTransaction();
    const pid = pidOf();
    expire();
    await warning();
    await client.send(encodeQuery("select pg_sleep(60)"));
    await running(pid);
    const startedAt = performance.now();
    rig.access.clock.ms += drainMs;
    expect(await client.lastError()).toMatchObject(over);
    await backendGone(pid);
    expect(performance.now() - startedAt).toBeLessThan(1000);
    expect(await kept()).toEqual([]);
    expect(await rig.recorded("session.closed")).toMatchObject([{ end: "expired" }]);
  });

  test("does not hold up the gateway's answer that the grant has ended", async () => {
    const idle = await WireClient.open(client.stream.agent, grant);
    await inTransaction();
    expire();
    await warning();
    const error = endedError({
      database_name: "prod-orders",
      end: "expired",
      end_reason: "The time is over.",
    });
    await rig.gateway.endGrant(grant, "expired", error);
    expect(await idle.lastError()).toMatchObject(over);
    const { agent } = client.stream;
    await agent.until(() => agent.notices.length > 0);
    expect(agent.notices.at(-1)).toMatchObject({
      kind: "expired",
      message: "The time for prod-orders is over. Transactions that run may finish.",
    });
    expect((await client.query("rollback")).tags).toEqual(["ROLLBACK"]);
  });

  test("ends hard with the person's account", async () => {
    await inTransaction();
    expire();
    await warning();
    const { personId } = rig.access.caller("alice");
    await rig.gateway.endPerson(personId, "The account was disabled.");
    expect(await client.lastError()).toMatchObject({ message: "The account was disabled." });
    expect(await kept()).toEqual([]);
  });

  test("lets a client cancel what it may finish (invariant 16)", async () => {
    await inTransaction();
    const key = client.greeting.find(({ type }) => type === backendMessages.BackendKeyData);
    expire();
    await warning();
    await client.send(encodeQuery("select pg_sleep(60)"));
    await running(pidOf());
    const packet = encodeCancelRequest(parseBackendKeyData(key?.body ?? bytes("")));
    await client.stream.agent.open("cancel", grant, packet).opened();
    expect((await client.result()).error).toMatchObject({ code: "57014" });
    expect((await client.query("rollback")).tags).toEqual(["ROLLBACK"]);
    expect(await client.lastError()).toMatchObject(over);
  });

  test("takes a session that has copied by the extended protocol for one at rest", async () => {
    await client.send(...run("copy kept from stdin"), encodeMessage(frontendMessages.Sync));
    await client.until(backendMessages.CopyInResponse);
    await client.send(
      encodeMessage(frontendMessages.CopyData, bytes("10\n")),
      encodeMessage(frontendMessages.CopyDone),
      encodeMessage(frontendMessages.Sync),
    );
    expect((await client.result()).tags).toEqual(["COPY 1"]);
    expire();
    expect(await client.lastError()).toMatchObject(over);
    expect(rig.records("session.draining")).toEqual([]);
    expect(await kept()).toEqual([10]);
  });
});
