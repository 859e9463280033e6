// A client of an agent that was told of a session: greeted by the agent alone, answered after one round trip. The agent's own tunnel and
// front before the real gateway and a real database.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { JitdbError } from "@jitdb/shared/errors";
import type { GrantId } from "@jitdb/shared/ids";
import { parseBackendKeyData } from "@jitdb/shared/postgres/backend";
import { type Message, MessageCollector } from "@jitdb/shared/postgres/decoder";
import { encodeQuery, encodeTerminate } from "@jitdb/shared/postgres/encoder";
import { backendMessages } from "@jitdb/shared/postgres/messages";
import { encodeCancelRequest } from "@jitdb/shared/postgres/startup";
import { encodeMessage } from "@jitdb/shared/postgres/writer";
import { Secret } from "@jitdb/shared/secret";
import { decodeFrames } from "@jitdb/shared/tunnel/frame";
import { decodeMap, type SpareMap } from "@jitdb/shared/tunnel/maps";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { PostgresFront } from "../../packages/cli/src/agent/postgres/front.ts";
import { Tunnel, tunnelTimes } from "../../packages/cli/src/agent/tunnel.ts";
import { FastWebSocket } from "../../packages/cli/src/network/fast-websocket.ts";
import { createRig, type Rig } from "../gateway/rig.ts";
import { startUp, WireClient } from "../gateway/wire-client.ts";
import { eventually } from "../support/eventually.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { psql } from "./agent-fixture.ts";

const password = "local-password";

let postgres: RunningPostgres;
let rig: Rig;
let grant: GrantId;
let tunnel: Tunnel;
/** The newest one. */
let websocket: FastWebSocket;
let front: PostgresFront;
let listener: Server;
let lost: number;
/** What the gateway has said of sessions to the agent. */
let spares: SpareMap[];
let spent: string[];

beforeAll(async () => {
  postgres = await startPostgres({ version: "system" });
});
afterAll(() => postgres.stop());
beforeEach(async () => {
  rig = await createRig(postgres);
  grant = await rig.grant("alice");
  lost = 0;
  spares = [];
  spent = [];
  tunnel = new Tunnel(
    {
      connect: openWebSocket,
      authorize: async () => ({ accessToken: new Secret("token"), proof: "proof" }),
      clock: { now: () => Date.now() },
      random: { bytes: (count) => randomBytes(count) },
      software: "test",
    },
    {
      notice: () => undefined,
      lost: () => {
        lost += 1;
      },
      restored: () => undefined,
      failed: () => undefined,
    },
    { ...tunnelTimes, firstPauseMs: 5, longestPauseMs: 20 },
  );
  await tunnel.start();
  const openStream = tunnel.opener("postgres", grant);
  front = await PostgresFront.create({ openStream, password: new Secret(password) });
  listener = createServer({ allowHalfOpen: true }, (socket) => front.accept(socket, "socket"));
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
});
afterEach(async () => {
  const error = new JitdbError("local.interrupted", "The test is over.");
  listener.close();
  await front.close(error);
  tunnel.close(error);
  await rig.close();
});

function openWebSocket(): Promise<FastWebSocket> {
  return new Promise((resolve, reject) => {
    websocket = new FastWebSocket(rig.doorOf("alice"), ["jitdb.tunnel.v1"]);
    websocket.on("error", reject);
    websocket.on("message", note);
    websocket.on("open", () => {
      websocket.pause();
      resolve(websocket);
    });
  });
}

function note(message: Uint8Array): void {
  for (const frame of decodeFrames(message)) {
    if (frame.type === "SPARE") {
      spares.push(decodeMap("SPARE", frame.payload));
    } else if (frame.type === "SPENT") {
      spent.push(decodeMap("SPENT", frame.payload).id);
    }
  }
}

function port(): number {
  const address = listener.address();
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

/** A client's socket, read by chunks. */
class LocalStream {
  readonly socket: Socket;
  readonly #chunks: AsyncIterator<Uint8Array>;

  constructor(socket: Socket) {
    this.socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  async read(): Promise<Uint8Array | undefined> {
    const { value, done } = await this.#chunks.next();
    return done === true ? undefined : value;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.socket.write(bytes);
  }
}

/** Connects and reads the greeting. */
async function greeted(): Promise<WireClient<LocalStream>> {
  const client = new WireClient(new LocalStream(connect(port(), "127.0.0.1")));
  await client.send(startUp());
  client.greeting.push(...(await client.until(backendMessages.ReadyForQuery)));
  return client;
}

/** Waits until the agent has heard of so many sessions. */
async function announced(count: number): Promise<SpareMap> {
  const spare = () => spares[count - 1];
  return await eventually("the agent has heard of a session", spare);
}

/** A client that makes the gateway log in for the next one. */
async function announcedToClients(): Promise<SpareMap> {
  const first = await greeted();
  await first.query("select 'first'");
  return await announced(1);
}

const claims = () => rig.records("session.opened").map(({ backendPid }) => backendPid);

describe("a client of an announced session", () => {
  it("is greeted by the agent alone, and answered after one round trip", async () => {
    const spare = await announcedToClients();
    // From here on the agent hears nothing.
    websocket.pause();
    const client = await greeted();
    expect(encoded(client.greeting)).toEqual(Buffer.from(spare.greeting));
    await client.send(encodeQuery("select 'answer', pg_backend_pid()"));
    await rig.recorded("statement.intent", 2);
    expect(claims()).toHaveLength(2);
    websocket.resume();
    const { rows } = await client.result();
    expect(rows).toEqual([["answer", String(keyOf(spare).processId)]]);
    expect((await client.query("select 'more'")).rows).toEqual([["more"]]);
  });

  it("may be psql, again and again", async () => {
    const run = () => psql(`host=127.0.0.1 port=${port()} user=alice`, "select pg_backend_pid()");
    expect((await run()).exitCode).toBe(0);
    for (const round of [1, 2, 3]) {
      const { processId } = keyOf(await announced(round));
      expect(await run()).toMatchObject({ exitCode: 0, stderr: "", stdout: String(processId) });
    }
    expect(spent).toEqual([]);
  });

  it("has proved the local password before, and takes nothing without (invariants 9, 43)", async () => {
    const tcp = createServer({ allowHalfOpen: true }, (socket) => front.accept(socket, "tcp"));
    tcp.listen(0, "127.0.0.1");
    await once(tcp, "listening");
    const address = tcp.address();
    const run = (PGPASSWORD: string) => {
      const at = typeof address === "object" ? address?.port : 0;
      return psql(`host=127.0.0.1 port=${at} user=alice`, "select pg_backend_pid()", {
        PGPASSWORD,
      });
    };
    await run(password);
    const { processId } = keyOf(await announced(1));
    expect((await run("guessed")).exitCode).toBe(2);
    expect(rig.records("session.opened")).toHaveLength(1);
    expect((await run(password)).stdout).toBe(String(processId));
    tcp.close();
  });

  it("that is refused behind its greeting reads why, as one whose session ends", async () => {
    await announcedToClients();
    await rig.access.store.db
      .updateTable("grants")
      .set({ end: "revoked", ended_at: rig.access.clock.now() })
      .where("id", "=", grant)
      .execute();
    const client = await greeted();
    expect(await client.lastError()).toMatchObject({ severity: "FATAL", code: "57P01" });
  });

  it("cancels with the key that it was greeted with (invariant 16)", async () => {
    await announcedToClients();
    const client = await greeted();
    await client.send(encodeQuery("select pg_sleep(60)"));
    await rig.asleep();
    const body = client.greeting.find(({ type }) => type === backendMessages.BackendKeyData)?.body;
    const key = parseBackendKeyData(body ?? new Uint8Array(0));
    connect(port(), "127.0.0.1").end(encodeCancelRequest(key));
    expect((await client.result()).error?.code).toBe("57014");
  });

  it("may send more than its first credit, and leave, before there is an answer", async () => {
    await announcedToClients();
    websocket.pause();
    const client = await greeted();
    const text = "x".repeat(300_000);
    await client.send(encodeQuery(`select length('${text}')`), encodeTerminate());
    client.stream.socket.end();
    await rig.recorded("session.opened", 2);
    websocket.resume();
    const [row] = (await client.until(backendMessages.ReadyForQuery)).filter(
      ({ type }) => type === backendMessages.DataRow,
    );
    expect(String(row?.body)).toContain("300000");
    expect((await rig.recorded("session.closed"))[0]).toMatchObject({ end: "client_closed" });
  });

  it("goes on over a lost network, though its OPEN may not have arrived", async () => {
    await announcedToClients();
    // Nothing leaves: it is lost with the socket.
    websocket.sendChunks = () => undefined;
    const client = await greeted();
    await client.send(encodeQuery("select 'kept'"));
    websocket.terminate();
    expect((await client.result()).rows).toEqual([["kept"]]);
    expect([lost, claims().length]).toEqual([1, 2]);
  });

  it("is none behind a lost network: what was announced is forgotten", async () => {
    const spare = await announcedToClients();
    websocket.terminate();
    await eventually("the tunnel is lost", () => lost === 1);
    const client = await greeted();
    expect(encoded(client.greeting)).not.toEqual(Buffer.from(spare.greeting));
    expect((await client.query("select 'served'")).rows).toEqual([["served"]]);
  });
});

/** The bytes that messages were. */
function encoded(messages: readonly Message[]): Buffer {
  return Buffer.concat(messages.map(({ type, body }) => encodeMessage(type, body)));
}

function keyOf({ greeting }: SpareMap) {
  const collector = new MessageCollector("backend", greeting.length);
  collector.push(greeting);
  for (let message = collector.next(); message; message = collector.next()) {
    if (message.type === backendMessages.BackendKeyData) {
      return parseBackendKeyData(message.body);
    }
  }
  throw new Error("A greeting has a key.");
}
