// Sessions that are logged in before their client comes, seen from the database's side. The agent speaks revision 1 of the protocol: it is not
// told of them.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { endedError } from "../../packages/server/src/access/grants/grant.ts";
import type { GrantId } from "../../packages/shared/src/ids.ts";
import { eventually } from "../support/eventually.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import type { Agent } from "./agent.ts";
import { createRig, type Rig, type RigOptions } from "./rig.ts";
import { startUp, WireClient } from "./wire-client.ts";

describe("a spare session", () => {
  let postgres: RunningPostgres;
  let rig: Rig;
  let grant: GrantId;
  let agent: Agent;
  beforeAll(async () => {
    postgres = await startPostgres({ version: "system" });
  });
  afterAll(() => postgres.stop());
  beforeEach(() => begin());
  afterEach(() => rig.close());

  async function begin(options: RigOptions = {}): Promise<void> {
    rig = await createRig(postgres, options);
    grant = await rig.grant("alice");
    agent = await rig.agent("alice", { version: 1 });
  }
  const again = async (options: RigOptions) => {
    await rig.close();
    await begin(options);
  };
  const open = (packet?: Uint8Array) => WireClient.open(agent, grant, packet);
  /** Of the grant's user, idle or not. */
  const backends = async () =>
    (
      await rig.superuser(
        `select pid from pg_stat_activity where usename = '${rig.userOf(grant).userName}' order by 1`,
      )
    ).map(([pid]) => Number(pid));
  /** The one that no client has. */
  const spare = () =>
    eventually("there is a spare session", async () => {
      const taken = rig.gateway.sessions().map(({ backendPid }) => backendPid);
      const [pid, ...others] = (await backends()).filter((one) => !taken.includes(one));
      // Once it is logged in, it is known.
      const isKnown = rig.gateway.ownedBackends(rig.databaseName).includes(pid ?? 0);
      return others.length === 0 && isKnown && pid;
    });
  const none = () =>
    eventually("there is none", async () => {
      return (await backends()).length === rig.gateway.sessions().length;
    });

  test("is what the next client with the same start-up gets, and has a successor", async () => {
    const first = await open();
    const pid = await spare();
    expect(rig.records("session.opened")).toHaveLength(1);
    const second = await open();
    expect((await second.query("select pg_backend_pid()")).rows).toEqual([[String(pid)]]);
    expect(rig.records("session.opened").at(-1)).toMatchObject({ backendPid: pid });
    expect(second.greeting.map(({ type }) => type)).toEqual(first.greeting.map(({ type }) => type));
    expect(await spare()).not.toBe(pid);
    expect(agent.spares).toEqual([]);
  });

  test("is not for a client with another start-up, for which another one takes its place", async () => {
    await open();
    const pid = await spare();
    const packet = startUp([
      ["user", "anybody"],
      ["application_name", "other"],
    ]);
    const other = await open(packet);
    expect((await other.query("select pg_backend_pid()")).rows).not.toEqual([[String(pid)]]);
    await eventually("the first one is gone", async () => !(await backends()).includes(pid));
    const next = await spare();
    const { rows } = await (await open(packet)).query(
      "select pg_backend_pid(), current_setting('application_name')",
    );
    expect(rows).toEqual([[String(next), "other"]]);
  });

  test("is for nobody who may not use the grant any more (invariant 7)", async () => {
    await open();
    await spare();
    await rig.access.store.db
      .updateTable("grants")
      .set({ end: "revoked", ended_at: rig.access.clock.now() })
      .where("id", "=", grant)
      .execute();
    await expect(open()).rejects.toThrow();
    expect(rig.records("session.opened")).toHaveLength(1);
  });

  test("ends with its grant, before the end counts as done", async () => {
    await open();
    const pid = await spare();
    const error = endedError({
      ...{ state: "ended", end: "revoked", end_reason: null },
      database_name: rig.databaseName,
    });
    expect(await rig.gateway.endGrant(grant, "revoked", error)).toBe(1);
    expect(rig.gateway.ownedBackends(rig.databaseName)).toContain(pid);
    await none();
  });

  test("ends with the person's last agent, and with the time that it may grow old", async () => {
    await open();
    await spare();
    rig.access.clock.ms += 61_000;
    await none();
    await open();
    await spare();
    await agent.close();
    await eventually("nothing is left", async () => (await backends()).length === 0);
  });

  test("that the database has ended is no client's trouble", async () => {
    await open();
    const pid = await spare();
    await rig.superuser(`select pg_terminate_backend(${pid}, 5000)`);
    const client = await open();
    expect((await client.query("select 'here'")).rows).toEqual([["here"]]);
  });

  test("takes no place from a client under the database's limit of connections", async () => {
    await again({ database: { maxConnections: 2 } });
    const first = await open();
    const pid = await spare();
    // Another start-up: the spare one has to make room.
    const packet = startUp([
      ["user", "anybody"],
      ["application_name", "other"],
    ]);
    const second = await open(packet);
    expect(await backends()).not.toContain(pid);
    expect(await backends()).toHaveLength(2);
    await expect(open()).rejects.toThrow();
    for (const client of [first, second]) {
      expect((await client.query("select 1")).rows).toEqual([["1"]]);
    }
  });
});
