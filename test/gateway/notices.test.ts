// What people are told about the end of their grants while they work: in time, only between the server's messages, and anew
// when a grant gets more time.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { GrantId, RequestId } from "../../packages/shared/src/ids.ts";
import { encodeQuery } from "../../packages/shared/src/postgres/encoder.ts";
import { backendMessages } from "../../packages/shared/src/postgres/messages.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { createRig, type Rig } from "./rig.ts";
import { WireClient } from "./wire-client.ts";

const minute = 60_000;
const durationMs = 10 * minute;
const askForMore = "Ask for more time: jitdb request prod-orders --for 30m";

describe("notices", () => {
  let postgres: RunningPostgres;
  let rig: Rig;
  let grant: GrantId;
  let client: WireClient;
  beforeAll(async () => {
    postgres = await startPostgres({ version: "system" });
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    rig = await createRig(postgres);
    grant = await rig.grant("alice", durationMs);
    client = await WireClient.open(await rig.agent("alice"), grant);
    await rig.gateway.followGrants();
  });
  afterEach(() => rig.close());

  const pass = (ms: number) => {
    rig.access.clock.ms += ms;
  };
  /** One conditional update, as whoever extends a grant has to do it. */
  const extend = (byMs: number) =>
    rig.access.store.db
      .updateTable("grants")
      .set(({ eb }) => ({ ends_at: eb("ends_at", "+", byMs) }))
      .where("id", "=", grant)
      .where("state", "=", "active")
      .where("ends_at", ">", rig.access.clock.ms)
      .execute();
  const warning = async () => {
    const message = await client.next();
    return WireClient.notices(message === undefined ? [] : [message])[0];
  };

  test("of more time reach agent and client, and come again before the new end", async () => {
    const { agent } = client.stream;
    pass(durationMs - 5 * minute);
    expect(await warning()).toMatchObject({
      severity: "WARNING",
      message: "Access to prod-orders ends in 5m.",
      hint: askForMore,
    });
    await extend(30 * minute);
    await rig.gateway.followGrants();
    expect(await warning()).toMatchObject({
      message: "Access to prod-orders was extended: it ends in 35m.",
      hint: askForMore,
    });
    await agent.until(() => agent.notices.length === 2);
    expect(agent.notices[1]).toMatchObject({
      kind: "extended",
      grant,
      expiresAt: "2026-01-01T00:40:00.000Z",
    });
    pass(10 * minute);
    expect((await client.query("select 'behind the old end'")).rows).toHaveLength(1);
    pass(20 * minute);
    expect(await warning()).toMatchObject({ message: "Access to prod-orders ends in 5m." });
    pass(4 * minute);
    expect(await warning()).toMatchObject({ message: "Access to prod-orders ends in 1m." });
    pass(minute);
    expect(await client.lastError()).toMatchObject({ code: "57P01" });
  });

  test("of more time need no hint: the store is asked every second", async () => {
    await extend(30 * minute);
    pass(1000);
    expect(await warning()).toMatchObject({
      message: "Access to prod-orders was extended: it ends in 40m.",
    });
  });

  test("say of a soft end that a transaction may finish", async () => {
    const soft = await rig.grant("alice", durationMs, minute);
    client = await WireClient.open(client.stream.agent, soft);
    pass(durationMs - 5 * minute);
    expect(await warning()).toMatchObject({
      message: "Access to prod-orders ends in 5m. A transaction that runs then has 1m to finish.",
    });
  });

  test("of break-glass come at the start of each session, and all of its records are marked", async () => {
    const broken = await rig.grant("alice", durationMs);
    await rig.access.store.db
      .updateTable("requests")
      .set({ break_glass: 1 })
      .where("id", "=", broken.replace("grt", "req") as RequestId)
      .execute();
    client = await WireClient.open(client.stream.agent, broken);
    expect(await warning()).toMatchObject({
      severity: "WARNING",
      message: "Access to prod-orders is by break-glass: everything you do is reviewed.",
    });
    await client.query("select 'reviewed'");
    await client.stream.close();
    await rig.recorded("session.closed");
    for (const kind of [
      "session.opened",
      "statement.intent",
      "statement.outcome",
      "session.closed",
    ] as const) {
      const marks = rig.records(kind).map((record) => [record.grant, record.breakGlass]);
      expect(marks).toContainEqual([broken, true]);
      expect(marks.filter(([id, mark]) => (id === broken) !== (mark === true))).toEqual([]);
    }
  });

  test("never stand inside a message of the server", async () => {
    const { stream } = client;
    await client.send(encodeQuery("select repeat('x', 4000000)"));
    // The window is full, the message is not: the notice has to wait.
    await stream.agent.until(() => stream.unreadBytes > 50_000);
    pass(durationMs - 5 * minute);
    await stream.agent.until(() => stream.agent.notices.length === 1);
    const messages = await client.until(backendMessages.ReadyForQuery);
    const row = messages.find(({ type }) => type === backendMessages.DataRow);
    expect(row?.body.length).toBe(4_000_006);
    await client.send(encodeQuery("select 1"));
    const more = await client.until(backendMessages.ReadyForQuery);
    expect(WireClient.notices([...messages, ...more])).toHaveLength(1);
  });
});
