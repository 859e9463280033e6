// Tunnels at the gateway's door: who may stay, for how long, and what peers that misbehave get.

import { once } from "node:events";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { gatewayLimits } from "../../packages/server/src/gateway/limits.ts";
import { JitdbError } from "../../packages/shared/src/errors.ts";
import { encodeQuery } from "../../packages/shared/src/postgres/encoder.ts";
import { Secret } from "../../packages/shared/src/secret.ts";
import { encodeFrame } from "../../packages/shared/src/tunnel/frame.ts";
import { TunnelSession } from "../../packages/shared/src/tunnel/session.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { createRig, type Rig } from "./rig.ts";
import { startUp, WireClient } from "./wire-client.ts";

describe("a tunnel", () => {
  let postgres: RunningPostgres;
  let rig: Rig;
  beforeAll(async () => {
    postgres = await startPostgres({ version: "system" });
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    rig = await createRig(postgres, {
      limits: {
        opens: { burst: 3, perSecond: 1 },
        auths: { burst: 2, perSecond: 1 },
        tunnel: { ...gatewayLimits.tunnel, pingIntervalMs: 50, silenceMs: 1500, maxStreams: 4 },
      },
    });
  });
  afterEach(() => rig.close());

  async function peer(): Promise<WebSocket> {
    const ws = new WebSocket(rig.url, "jitdb.tunnel.v1", { perMessageDeflate: false });
    await once(ws, "open");
    return ws;
  }
  const closeCode = async (ws: WebSocket): Promise<number> => (await once(ws, "close"))[0];
  const hello = () =>
    Buffer.concat(new TunnelSession({ role: "agent", software: "peer" }).takeOutput() ?? []);

  test.each([
    ["a text message", (ws: WebSocket) => ws.send("hello"), 1002],
    ["garbage", (ws: WebSocket) => ws.send(Buffer.from("garbage instead of frames")), 1002],
    ["an empty message", (ws: WebSocket) => ws.send(Buffer.alloc(0)), 1002],
    [
      "a frame before HELLO",
      (ws: WebSocket) => ws.send(Buffer.from("2000000900000000000000000000000001", "hex")),
      1002,
    ],
    [
      "an oversized frame",
      (ws: WebSocket) => ws.send(Buffer.from("12ffffff00000001", "hex")),
      1009,
    ],
    [
      "data for a stream that was never opened",
      (ws: WebSocket) =>
        ws.send(Buffer.concat([hello(), Buffer.from("1200000900000001000000000000000061", "hex")])),
      1002,
    ],
  ])("ends with %s, on record (invariants 11, 27)", async (_, send, code) => {
    const ws = await peer();
    send(ws);
    expect(await closeCode(ws)).toBe(code);
    const [closed] = await rig.recorded("tunnel.closed");
    expect(closed).toMatchObject({ person: "alice", reason: expect.stringContaining("tunnel.") });
  });

  test("ends when its peer does not answer any more", async () => {
    const ws = await peer();
    ws.pause();
    expect(await rig.recorded("tunnel.closed")).toMatchObject([
      { reason: "the agent fell silent" },
    ]);
    ws.terminate();
  });

  test("stays while its peer answers, and measures the way", async () => {
    const agent = await rig.agent("alice");
    const grant = await rig.grant("alice");
    const client = await WireClient.open(agent, grant);
    await client.query("select pg_sleep(0.5)");
    expect((await client.query("select 'still here'")).rows).toEqual([["still here"]]);
    await agent.close();
    await rig.recorded("tunnel.closed");
    expect(rig.log.join("")).toContain('"roundTripMs":');
  });

  test("limits how often and how many streams are opened", async () => {
    const grant = await rig.grant("alice");
    const agent = await rig.agent("alice");
    const streams = [1, 2, 3, 4].map(() => agent.open("session", grant, startUp()));
    await Promise.all(streams.slice(0, 3).map((stream) => stream.opened()));
    await expect(streams[3]?.opened()).rejects.toMatchObject({ code: "limit.reached" });
    expect(agent.hello).toMatchObject({ maxStreams: 4 });
  });

  test("that closes a stream which is not open yet ends, and its session with it", async () => {
    const agent = await rig.agent("alice");
    const grant = await rig.grant("alice");
    const stream = agent.open("session", grant, startUp());
    agent.ws.send(encodeFrame({ type: "CLOSE", stream: stream.id, position: 0 }));
    expect(await agent.closed).toBe(1002);
    await rig.gateway.loginsSettled(rig.databaseName);
    expect(await rig.recorded("session.refused")).toMatchObject([{ code: "local.interrupted" }]);
    expect(rig.gateway.ownedBackends(rig.databaseName)).toEqual([]);
    const { userName } = rig.userOf(grant);
    const left = `select pid from pg_stat_activity where usename = '${userName}'`;
    await expect.poll(() => rig.superuser(left)).toEqual([]);
  });

  describe("renews its login by AUTH", () => {
    const auth = { accessToken: new Secret("token-2"), proof: "proof-2" };

    test("and lives on past the old token's end", async () => {
      const caller = rig.access.caller("alice");
      const agent = await rig.agent("alice");
      const asked = new Promise((resolve) => {
        rig.setAuthenticate(async (credentials) => {
          resolve(credentials);
          return { ...caller, tokenExpiresAt: caller.tokenExpiresAt + 3_600_000 };
        });
      });
      agent.session.auth(auth);
      agent.flush();
      expect(await asked).toMatchObject({
        method: "GET",
        url: "https://jitdb.test/api/v1/tunnel",
        authorization: "DPoP token-2",
        proof: "proof-2",
      });
      const grant = await rig.grant("alice", 7_200_000);
      rig.access.clock.ms = caller.tokenExpiresAt + 1;
      const client = await WireClient.open(agent, grant);
      expect((await client.query("select 1")).rows).toEqual([["1"]]);
    });

    test.each([
      ["another person", async () => rig.access.caller("bob"), "login.proof", 4401],
      [
        "another device",
        async () => ({
          ...rig.access.caller("alice"),
          deviceId: rig.access.caller("bob").deviceId,
        }),
        "login.proof",
        4401,
      ],
      [
        "a login that is over",
        async () => {
          throw new JitdbError("login.disabled", "The account is disabled.");
        },
        "login.disabled",
        4403,
      ],
    ])("and ends with that of %s", async (_, authenticate, code, close) => {
      rig.setAuthenticate(authenticate);
      const agent = await rig.agent("alice");
      const client = await WireClient.open(agent, await rig.grant("alice"));
      agent.session.auth(auth);
      agent.flush();
      expect(await agent.closed).toBe(close);
      expect(agent.goaway).toMatchObject({ code });
      expect(await client.stream.untilEnded()).toBeDefined();
      expect(await rig.recorded("session.closed")).toMatchObject([{ end: "tunnel_lost" }]);
    });

    test("and ends when it comes too often", async () => {
      rig.setAuthenticate(async () => rig.access.caller("alice"));
      const agent = await rig.agent("alice");
      for (let count = 0; count < 4; count += 1) {
        agent.session.auth(auth);
      }
      agent.flush();
      expect(await agent.closed).toBe(1013);
      expect(agent.goaway).toMatchObject({ code: "login.rate_limited" });
    });
  });

  test("ends with its token where no AUTH came", async () => {
    const agent = await rig.agent("alice");
    rig.access.clock.ms = rig.access.caller("alice").tokenExpiresAt;
    expect(await agent.closed).toBe(4401);
    expect(agent.goaway).toMatchObject({ code: "login.expired" });
  });

  test("asks the store at every OPEN: grant, person, device, engine (invariant 7)", async () => {
    const agent = await rig.agent("alice");
    const grant = await rig.grant("alice");
    const code = (stream: { opened(): Promise<string> }) =>
      stream.opened().then(
        () => "opened",
        (error: JitdbError) => error.code,
      );
    expect(await code(agent.open("session", await rig.grant("bob"), startUp()))).toBe(
      "grant.unknown",
    );
    expect(await code(agent.open("session", "grt_none", startUp()))).toBe("grant.unknown");
    const id = agent.session.open({ engine: "mysql", kind: "session", grant, startup: startUp() });
    agent.flush();
    expect(id).toBeGreaterThan(0);
    await rig.recorded("session.refused", 3);
    await rig.access.disable("alice");
    rig.access.clock.ms += 10_000;
    expect(await code(agent.open("session", grant, startUp()))).toBe("login.disabled");
    const refused = await rig.recorded("session.refused", 4);
    expect(refused.map(({ code: refusal }) => refusal)).toEqual([
      "grant.unknown",
      "grant.unknown",
      "usage.invalid",
      "login.disabled",
    ]);
  });

  test("stalls its streams while its WebSocket takes nothing, in bounded memory (invariant 11)", async () => {
    const grant = await rig.grant("alice");
    const agent = await rig.agent("alice", { windowBytes: 1_048_576 });
    const clients = [await WireClient.open(agent, grant), await WireClient.open(agent, grant)];
    const before = process.memoryUsage().rss;
    agent.ws.pause();
    for (const client of clients) {
      client.stream.agent.session.write(
        client.stream.id,
        encodeQuery("select repeat('x', 100000) from generate_series(1, 2000)"),
      );
    }
    agent.flush();
    await rig.superuser("select pg_sleep(0.1)");
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1024 * 1024);
    agent.ws.resume();
    const results = await Promise.all(clients.map((client) => client.result()));
    expect(results.map(({ rows }) => rows.length)).toEqual([2000, 2000]);
  });
});
