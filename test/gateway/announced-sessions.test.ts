// Sessions that the agent was told of before their client came: what naming one gets, and what it does not.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { endedError } from "../../packages/server/src/access/grants/grant.ts";
import type { GrantId } from "../../packages/shared/src/ids.ts";
import { parseBackendKeyData } from "../../packages/shared/src/postgres/backend.ts";
import { type Message, MessageCollector } from "../../packages/shared/src/postgres/decoder.ts";
import { encodeQuery, encodeTerminate } from "../../packages/shared/src/postgres/encoder.ts";
import { backendMessages } from "../../packages/shared/src/postgres/messages.ts";
import { encodeCancelRequest } from "../../packages/shared/src/postgres/startup.ts";
import type { SpareMap } from "../../packages/shared/src/tunnel/maps.ts";
import { eventually } from "../support/eventually.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import type { Agent } from "./agent.ts";
import { createRig, type Rig, type RigOptions } from "./rig.ts";
import { startUp, WireClient } from "./wire-client.ts";

describe("an announced session", () => {
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
    agent = await rig.agent("alice");
  }

  /** Opens a session in the ordinary way, and waits for the word of the one that is for the next client. */
  async function announced(of = agent): Promise<SpareMap> {
    const count = of.spares.length;
    await WireClient.open(of, grant);
    await of.until(() => of.spares.length > count);
    return of.spares.at(-1) as SpareMap;
  }

  /** A client that was greeted with it, and whose first statement comes along with its OPEN. */
  function claim({ id, startup }: Pick<SpareMap, "id" | "startup">, sql: string, by = agent) {
    const stream = by.open("session", grant, startup, id);
    void stream.write(encodeQuery(sql));
    return new WireClient(stream);
  }

  /** From now on the grant's user is not proven, until what this returns is called. */
  function holdProof(): () => void {
    let prove: () => void = () => undefined;
    const proven = new Promise<void>((resolve) => {
      prove = resolve;
    });
    rig.setUser(grant, { ...rig.userOf(grant), proven });
    return prove;
  }

  const pidOf = (spare: SpareMap) => keyOf(spare).processId;
  const terminate = (spare: SpareMap) =>
    rig.superuser(`select pg_terminate_backend(${pidOf(spare)}, 5000)`);

  test("is told to the agent with what a client would be greeted with, the true process id in it", async () => {
    const first = await WireClient.open(agent, grant);
    await agent.until(() => agent.spares.length > 0);
    const [spare] = agent.spares as [SpareMap];
    expect(spare).toMatchObject({ engine: "postgres", grant, startup: startUp() });
    const told = messagesOf(spare.greeting);
    expect(told.map(({ type }) => type)).toEqual(first.greeting.map(({ type }) => type));
    expect(rig.gateway.ownedBackends(rig.databaseName)).toContain(pidOf(spare));
    const [user] = await rig.superuser(
      `select usename from pg_stat_activity where pid = ${pidOf(spare)}`,
    );
    expect(user).toEqual([rig.userOf(grant).userName]);
  });

  test("answers a statement that came with its OPEN, without a greeting, and on record first (invariants 7, 20)", async () => {
    const spare = await announced();
    const client = claim(spare, "select pg_backend_pid()");
    const messages = await client.until(backendMessages.ReadyForQuery);
    expect(messages[0]?.type).toBe(backendMessages.RowDescription);
    expect(String(messages[1]?.body)).toContain(String(pidOf(spare)));
    const opened = rig.records("session.opened").at(-1);
    const [intent] = rig.records("statement.intent");
    expect(opened).toMatchObject({ backendPid: pidOf(spare), session: client.stream.sessionId });
    expect(intent).toMatchObject({ session: client.stream.sessionId });
    expect(seqOf(intent)).toBeGreaterThan(seqOf(opened));
    // The next one is on its way, and nothing was taken back.
    await agent.until(() => agent.spares.length === 2);
    expect(agent.spent).toEqual([]);
  });

  test("reads nothing of the client before the user is proven (invariant 32)", async () => {
    const spare = await announced();
    const prove = holdProof();
    const client = claim(spare, "select 'read'");
    await eventually("the session is logged in", async () => {
      return rig.gateway.ownedBackends(rig.databaseName).includes(pidOf(spare));
    });
    const [count] = await rig.superuser(
      `select count(*) from pg_stat_activity where pid = ${pidOf(spare)} and query like '%read%'`,
    );
    expect([count, rig.records("statement.intent")]).toEqual([["0"], []]);
    prove();
    expect((await client.result()).rows).toEqual([["read"]]);
  });

  test("waits for a client whose OPEN was lost with the WebSocket, though no other is connected", async () => {
    const first = await WireClient.open(agent, grant);
    await agent.until(() => agent.spares.length > 0);
    await first.send(encodeTerminate());
    await agent.until(() => first.stream.ended !== undefined);
    first.stream.close();
    await agent.until(() => agent.session.streamCount === 0);
    agent.ws.terminate();
    const client = claim(agent.spares.at(-1) as SpareMap, "select 'it went on'");
    await agent.lose();
    expect(await rig.recorded("tunnel.parked")).toMatchObject([{ sessions: 0 }]);
    await agent.resume(rig.doorOf("alice"));
    expect((await client.result()).rows).toEqual([["it went on"]]);
  });

  test("that is gone is replaced, and the client hears only what differs", async () => {
    const spare = await announced();
    await rig.superuser(`alter role ${rig.userOf(grant).userName} set intervalstyle = 'iso_8601'`);
    await terminate(spare);
    const client = claim(spare, "select interval '1 day', pg_backend_pid()");
    const [status, ...rest] = await client.until(backendMessages.RowDescription);
    expect(status?.type).toBe(backendMessages.ParameterStatus);
    expect(String(status?.body)).toContain("IntervalStyle\0iso_8601");
    expect(rest).toHaveLength(1);
    const { rows } = await client.result();
    expect(rows[0]?.[0]).toBe("P1D");
    expect(rows[0]?.[1]).not.toBe(String(pidOf(spare)));
  });

  test.each(["is there", "is gone"])(
    "that %s is cancelled with the key that the client was greeted with (invariant 16)",
    async (how) => {
      const spare = await announced();
      if (how === "is gone") {
        await terminate(spare);
      }
      const client = claim(spare, "select pg_sleep(60)");
      await rig.asleep();
      const packet = encodeCancelRequest(keyOf(spare));
      await agent.open("cancel", grant, packet).untilEnded();
      expect((await client.result()).error?.code).toBe("57014");
    },
  );

  test("is cancelled by a request that comes while it is being opened (invariant 16)", async () => {
    const spare = await announced();
    const prove = holdProof();
    const client = claim(spare, "select pg_sleep(60)");
    const packet = encodeCancelRequest(keyOf(spare));
    const cancel = agent.open("cancel", grant, packet);
    await agent.until(() => cancel.sessionId !== undefined);
    // Time enough for a request that waits for nothing to be over, and in vain.
    await new Promise((resolve) => setTimeout(resolve, 200));
    prove();
    expect((await client.result()).error?.code).toBe("57014");
    await cancel.untilEnded();
    expect(rig.records("session.cancel")).toMatchObject([
      { forwarded: true, session: client.stream.sessionId },
    ]);
  });

  test("is taken back when another client has it", async () => {
    const spare = await announced();
    await WireClient.open(agent, grant);
    await agent.until(() => agent.spent.includes(spare.id));
  });

  test("is taken back when the database ends it", async () => {
    const spare = await announced();
    await terminate(spare);
    await agent.until(() => agent.spent.includes(spare.id));
  });

  test("is taken back for one with another start-up, and that one when the grant ends", async () => {
    const spare = await announced();
    const packet = startUp([
      ["user", "anybody"],
      ["application_name", "other"],
    ]);
    await WireClient.open(agent, grant, packet);
    await agent.until(() => agent.spent.includes(spare.id) && agent.spares.length === 2);
    const other = agent.spares[1] as SpareMap;
    expect(other.startup).toEqual(packet);
    const error = endedError({
      ...{ state: "ended", end: "revoked", end_reason: null },
      database_name: rig.databaseName,
    });
    await rig.gateway.endGrant(grant, "revoked", error);
    await agent.until(() => agent.spent.includes(other.id));
  });

  test("that was taken back while its client was on the way is no client's trouble", async () => {
    const spare = await announced();
    await WireClient.open(agent, grant);
    await agent.until(() => agent.spent.includes(spare.id));
    expect((await claim(spare, "select 'here'").result()).rows).toEqual([["here"]]);
  });

  test("is for nobody who may not use the grant any more (invariant 7)", async () => {
    const spare = await announced();
    await rig.access.store.db
      .updateTable("grants")
      .set({ end: "revoked", ended_at: rig.access.clock.now() })
      .where("id", "=", grant)
      .execute();
    const reset = await claim(spare, "select 'never'").stream.untilEnded();
    expect(reset?.code).toBe("grant.revoked");
    expect(rig.records("statement.intent")).toEqual([]);
  });

  const elsewhere: readonly (readonly [string, (spare: SpareMap) => Promise<WireClient>])[] = [
    [
      "twice",
      async (spare) => {
        await claim(spare, "select 1").result();
        return claim(spare, "select 'never'");
      },
    ],
    [
      "for another start-up",
      async ({ id }) => claim({ id, startup: startUp([["user", "other"]]) }, "select 'never'"),
    ],
    [
      "for another grant",
      async ({ id, startup }) => {
        grant = await rig.grant("alice");
        return claim({ id, startup }, "select 'never'");
      },
    ],
    [
      "through another tunnel",
      async (spare) => claim(spare, "select 'never'", await rig.agent("alice")),
    ],
    [
      "through another person's tunnel",
      async (spare) => claim(spare, "select 'never'", await rig.agent("bob")),
    ],
    ["by a guess", async ({ startup }) => claim({ id: "spr_guess", startup }, "select 'never'")],
  ];
  test.each(elsewhere)(
    "that is named %s gets nobody a session (invariant 7)",
    async (_how, name) => {
      const spare = await announced();
      const client = await name(spare);
      const reset = await client.stream.untilEnded();
      expect(["tunnel.lost", "grant.unknown"]).toContain(reset?.code);
      const intents = rig.records("statement.intent").map((record) => JSON.stringify(record));
      expect(intents.join()).not.toContain("never");
      expect(rig.records("session.refused")).toHaveLength(1);
    },
  );

  test("outlives the network: what was on its way is answered, once", async () => {
    const spare = await announced();
    await agent.lose();
    // The OPEN and the statement never left.
    await agent.resume(rig.doorOf("alice"));
    expect((await claim(spare, "select 'back'").result()).rows).toEqual([["back"]]);
  });

  test("is none where the configuration wants none", async () => {
    await rig.close();
    await begin({ database: { spareSessions: false } });
    await WireClient.open(agent, grant);
    await (await WireClient.open(agent, grant)).query("select 1");
    expect(agent.spares).toEqual([]);
  });
});

/** Its place in the journal. */
function seqOf(record: object | undefined): number {
  return (record as { readonly seq: number }).seq;
}

function messagesOf(bytes: Uint8Array): Message[] {
  const collector = new MessageCollector("backend", bytes.length);
  collector.push(bytes);
  const messages: Message[] = [];
  for (let message = collector.next(); message; message = collector.next()) {
    messages.push({ type: message.type, body: message.body.slice() });
  }
  return messages;
}

function keyOf({ greeting }: SpareMap) {
  const key = messagesOf(greeting).find(({ type }) => type === backendMessages.BackendKeyData);
  return parseBackendKeyData(key?.body ?? new Uint8Array(0));
}
