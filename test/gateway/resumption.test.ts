// A tunnel whose WebSocket is lost: what goes on, for whom, for how long, and what does not (docs/tunnel-protocol.md §10).

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { minute } from "../../packages/server/src/access/access-fixture.ts";
import { gatewayLimits } from "../../packages/server/src/gateway/limits.ts";
import { JitdbError } from "../../packages/shared/src/errors.ts";
import type { DeviceId, GrantId } from "../../packages/shared/src/ids.ts";
import { encodeQuery } from "../../packages/shared/src/postgres/encoder.ts";
import { backendMessages } from "../../packages/shared/src/postgres/messages.ts";
import { Secret } from "../../packages/shared/src/secret.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import type { Agent } from "./agent.ts";
import { createRig, type Rig } from "./rig.ts";
import { startUp, WireClient } from "./wire-client.ts";

const limits = {
  parking: { ...gatewayLimits.parking, maxOfPerson: 2 },
};

describe("a tunnel that lost its WebSocket", () => {
  let postgres: RunningPostgres;
  let rig: Rig;
  let agent: Agent;
  let grant: string;
  let client: WireClient;
  beforeAll(async () => {
    postgres = await startPostgres({ version: "system" });
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    rig = await createRig(postgres, { limits });
    grant = await rig.grant("alice");
    agent = await rig.agent("alice");
    client = await WireClient.open(agent, grant);
  });
  afterEach(() => rig.close());

  const pass = (ms: number) => {
    rig.access.clock.ms += ms;
  };
  const resume = (one = agent) => one.resume(rig.doorOf("alice"));
  const loseIt = async (one = agent, count = 1) => {
    await one.lose();
    await rig.recorded("tunnel.parked", count);
  };

  test("goes on in the middle of a transaction, in the same session", async () => {
    await client.query("begin");
    await client.query("create temp table kept as select 'here' as it");
    const [pid] = (await client.query("select pg_backend_pid()")).rows;
    await loseIt();
    await resume();
    expect(agent.lost).toBe(0);
    expect((await client.query("select pg_backend_pid()")).rows).toEqual([pid]);
    expect((await client.query("select it from kept")).rows).toEqual([["here"]]);
    expect((await client.query("commit")).error).toBeUndefined();
    expect(await rig.recorded("tunnel.resumed")).toMatchObject([{ person: "alice", lost: 0 }]);
    expect(rig.records("session.closed")).toEqual([]);
  });

  test("delivers what was answered meanwhile, and takes what was asked meanwhile", async () => {
    await client.send(encodeQuery("select pg_sleep(0.2), 'answered while away'"));
    await rig.asleep();
    await loseIt();
    await rig.recorded("statement.outcome");
    void client.send(encodeQuery("select 'asked while away'"));
    await resume();
    expect((await client.result()).rows[0]?.at(-1)).toBe("answered while away");
    expect((await client.result()).rows).toEqual([["asked while away"]]);
  });

  test("is told about a stream that was being opened: once, with its greeting", async () => {
    const stream = agent.open("session", grant, startUp());
    await loseIt();
    await rig.gateway.loginsSettled(rig.databaseName);
    await resume();
    const second = new WireClient(stream);
    await stream.opened();
    await second.until(backendMessages.ReadyForQuery);
    expect((await second.query("select 2")).rows).toEqual([["2"]]);
    expect((await client.query("select 1")).rows).toEqual([["1"]]);
  });

  test("learns natively that its grant has ended meanwhile, on time (invariant 30)", async () => {
    pass(29.5 * minute);
    await loseIt();
    pass(minute);
    const [closed] = await rig.recorded("session.closed");
    expect(closed?.end).toBe("expired");
    await resume();
    expect((await client.lastError())?.code ?? (await client.stream.untilEnded())?.code).toMatch(
      /57P01|grant\.expired/,
    );
  });

  test("is kept two minutes, then its sessions end", async () => {
    await loseIt();
    pass(119_000);
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(rig.records("session.closed")).toEqual([]);
    pass(2000);
    expect(await rig.recorded("session.closed")).toMatchObject([{ end: "tunnel_lost" }]);
    expect(await rig.recorded("tunnel.closed")).toMatchObject([
      { reason: expect.stringContaining("tunnel.lost") },
    ]);
    await resume();
    expect(agent.lost).toBe(1);
    expect((await client.stream.untilEnded())?.code).toBe("tunnel.lost");
    expect(await rig.recorded("tunnel.resume_refused")).toMatchObject([
      { reason: "its ticket is unknown" },
    ]);
  });

  test("keeps a session in a transaction thirty seconds only: it holds locks", async () => {
    const idle = await WireClient.open(agent, grant);
    await client.query("begin");
    await loseIt();
    pass(31_000);
    expect(await rig.recorded("session.closed")).toMatchObject([{ end: "tunnel_lost" }]);
    await resume();
    expect((await client.stream.untilEnded())?.code).toBe("tunnel.lost");
    expect((await idle.query("select 1")).rows).toEqual([["1"]]);
  });

  test("is nobody else's: not with a stolen ticket, not from another device of the same person (invariant 7)", async () => {
    const ticket = agent.hello?.ticket?.value ?? new Secret("none");
    await loseIt();
    const thieves = [
      rig.doorOf("bob"),
      rig.doorOf("alice", { deviceId: "another device" as DeviceId }),
    ];
    for (const door of thieves) {
      const thief = await rig.agent("bob");
      await thief.lose();
      await thief.resume(door, ticket);
      expect(thief.hello?.resumed).toBeUndefined();
      thief.ws.close(1000);
    }
    expect(await rig.recorded("tunnel.resume_refused", 2)).toMatchObject([
      { person: "bob", reason: "its ticket is another device's" },
      { person: "alice", reason: "its ticket is another device's" },
    ]);
    await resume();
    expect((await client.query("select 'mine'")).rows).toEqual([["mine"]]);
  });

  test("takes each ticket once, and the one before it only until its successor arrived", async () => {
    const first = agent.hello?.ticket?.value ?? new Secret("none");
    await loseIt();
    await agent.resumeUnheard(rig.doorOf("alice"), first);
    await rig.recorded("tunnel.parked", 2);
    expect(agent.hello?.ticket?.value.reveal()).toBe(first.reveal());
    await agent.resume(rig.doorOf("alice"), first);
    expect(agent.lost).toBe(0);
    expect((await client.query("select 1")).rows).toEqual([["1"]]);
    expect(agent.hello?.ticket?.value.reveal()).not.toBe(first.reveal());
    await loseIt(agent, 3);
    await agent.resume(rig.doorOf("alice"), first);
    expect(agent.hello?.resumed).toBeUndefined();
    expect(agent.lost).toBe(1);
  });

  test("is taken over while its last WebSocket still looks alive", async () => {
    const old = agent.ws;
    agent.session.detach();
    const closed = new Promise((resolve) => old.once("close", resolve));
    await resume();
    await closed;
    expect((await client.query("select 'over here'")).rows).toEqual([["over here"]]);
    expect(rig.records("tunnel.parked")).toEqual([]);
  });

  test("makes room for a newer one of the same person", async () => {
    await loseIt();
    for (const count of [2, 3]) {
      const other = await rig.agent("alice");
      await WireClient.open(other, grant);
      await loseIt(other, count);
    }
    expect(await rig.recorded("tunnel.closed")).toMatchObject([
      { reason: expect.stringContaining("limit.reached") },
    ]);
    await resume();
    expect(agent.lost).toBe(1);
  });

  test("ends at once when its person is disabled (invariant 4)", async () => {
    await loseIt();
    expect(await rig.gateway.endPerson(rig.access.caller("alice").personId, "left")).toBe(1);
    expect(await rig.recorded("session.closed")).toMatchObject([{ end: "person_disabled" }]);
    await resume();
    expect(agent.lost).toBe(1);
  });

  test("ends at once when its device's login is revoked, and learns it (invariant 4)", async () => {
    await loseIt();
    const { deviceId } = rig.access.caller("alice");
    expect(await rig.gateway.endDevice(deviceId, "The device was lost.")).toBe(1);
    expect(await rig.recorded("session.closed")).toMatchObject([{ end: "person_disabled" }]);
    await resume();
    expect(agent.lost).toBe(1);
  });

  test("learns that its grant was revoked meanwhile; other grants go on", async () => {
    const other = await WireClient.open(agent, await rig.grant("alice"));
    await client.query("begin");
    await loseIt();
    const revoked = new JitdbError("grant.revoked", "The grant was revoked.");
    expect(await rig.gateway.endGrant(grant as GrantId, "revoked", revoked)).toBe(1);
    expect(await rig.recorded("session.closed")).toMatchObject([{ end: "revoked" }]);
    await resume();
    expect((await client.lastError())?.code ?? (await client.stream.untilEnded())?.code).toMatch(
      /57P01|grant\.revoked/,
    );
    expect((await other.query("select 'on'")).rows).toEqual([["on"]]);
  });

  test("is listed as parked while it waits, and no longer", async () => {
    const [session] = rig.gateway.sessions();
    expect(rig.gateway.parkedSessions()).toEqual(new Set());
    await loseIt();
    expect(rig.gateway.parkedSessions()).toEqual(new Set([session?.id]));
    await resume();
    expect(rig.gateway.parkedSessions()).toEqual(new Set());
  });

  test("says goodbye where it means it: nothing is kept then", async () => {
    agent.ws.close(1000);
    expect(await rig.recorded("session.closed")).toMatchObject([{ end: "tunnel_lost" }]);
    expect(rig.records("tunnel.parked")).toEqual([]);
  });

  test("goes on with a database that floods while nobody reads, in bounded memory (invariant 11)", async () => {
    await client.send(encodeQuery("select repeat('x', 1000) from generate_series(1, 200000)"));
    await client.stream.agent.until(() => client.stream.unreadBytes > 10_000);
    await loseIt();
    await resume();
    const messages = await client.until(backendMessages.ReadyForQuery);
    const rows = messages.filter(({ type }) => type === backendMessages.DataRow);
    expect(rows.length).toBe(200_000);
    expect(rows.every(({ body }) => body.length === 1006)).toBe(true);
  });
});
