// Database clients while the server is away: told why in PostgreSQL's words, never left waiting, and served when it is back.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { PostgresFront } from "../../packages/cli/src/agent/postgres/front.ts";
import { Tunnel, tunnelTimes } from "../../packages/cli/src/agent/tunnel.ts";
import { FastWebSocket } from "../../packages/cli/src/network/fast-websocket.ts";
import type { RunningPostgres } from "../support/postgres.ts";
import { psql } from "./agent-fixture.ts";
import { startTrustingPostgres } from "./cli.ts";
import { FakeServer } from "./fake-server.ts";

const password = "local-password";

let postgres: RunningPostgres;
let server: FakeServer;
let serverAddress: string;
let tunnel: Tunnel;
let listener: Server;
let front: PostgresFront;
let restored: Promise<void>;

beforeAll(async () => {
  postgres = await startTrustingPostgres();
});
afterAll(() => postgres.stop());
beforeEach(async () => {
  await startServer();
  let tellRestored = () => {};
  restored = new Promise((resolve) => {
    tellRestored = resolve;
  });
  tunnel = new Tunnel(
    {
      connect: () => openWebSocket(serverAddress),
      authorize: async () => ({ accessToken: new Secret("token"), proof: "proof" }),
      clock: { now: () => Date.now() },
      random: { bytes: (count) => randomBytes(count) },
      software: "test",
    },
    {
      notice: () => undefined,
      lost: () => undefined,
      restored: () => tellRestored(),
      failed: () => undefined,
    },
    {
      ...tunnelTimes,
      ...{ firstPauseMs: 5, longestPauseMs: 20, maxAttempts: 1_000_000 },
      ...{ openTimeoutMs: 200, answerTimeoutMs: 1000 },
    },
  );
  await tunnel.start();
  const openStream = tunnel.opener("postgres", "grt_1");
  front = await PostgresFront.create({ openStream, password: new Secret(password) });
  listener = createServer({ allowHalfOpen: true }, (socket) => front.accept(socket, "tcp"));
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
});
afterEach(async () => {
  const error = new JitdbError("local.interrupted", "The test is over.");
  listener.close();
  await front.close(error);
  tunnel.close(error);
  await server.stop();
});

async function startServer(): Promise<void> {
  server = await FakeServer.start({ postgres });
  serverAddress = server.address;
}

function openWebSocket(address: string): Promise<FastWebSocket> {
  return new Promise((resolve, reject) => {
    const url = `${address.replace("http", "ws")}/api/v1/tunnel`;
    const socket = new FastWebSocket(url, ["jitdb.tunnel.v1"]);
    socket.on("error", () =>
      reject(new JitdbError("server.unreachable", "Can't reach it: nothing listens there.")),
    );
    socket.on("open", () => {
      socket.pause();
      resolve(socket);
    });
  });
}

function connect(sql = "select 'served'") {
  const address = listener.address();
  const port = typeof address === "object" ? address?.port : 0;
  return psql(`host=127.0.0.1 port=${port} dbname=orders user=alice`, sql, {
    PGPASSWORD: password,
  });
}

describe("while the server is away", () => {
  it("a new client is told why within its time, and the next is served when it is back", async () => {
    expect(await connect()).toMatchObject({ exitCode: 0, stdout: "served" });
    await server.stop();
    const { exitCode, stderr } = await connect();
    expect(exitCode).toBe(2);
    expect(stderr).toContain(
      "FATAL:  Can't reach it: nothing listens there.\nHINT:  jitdb keeps trying to reach it; connect again in a moment.",
    );
    await startServer();
    await restored;
    expect(await connect()).toMatchObject({ exitCode: 0, stdout: "served" });
  });

  it("a client that the server never answers is told so", async () => {
    server.isMute = true;
    const { exitCode, stderr } = await connect();
    expect(exitCode).toBe(2);
    expect(stderr).toContain(
      "FATAL:  The server has not answered within 1s.\nHINT:  jitdb keeps trying to reach it; connect again in a moment.",
    );
    server.isMute = false;
    expect(await connect()).toMatchObject({ exitCode: 0, stdout: "served" });
  });

  it("a client in the middle of a session hears of the loss behind a whole message", async () => {
    const session = connect("select pg_sleep(30)");
    await expect.poll(() => server.opens.length, { timeout: 5000 }).toBe(1);
    await expect.poll(() => server.upstreamBytes, { timeout: 5000 }).toBeGreaterThan(0);
    server.cut();
    expect(await session).toMatchObject({
      stderr: expect.stringContaining(
        "FATAL:  The connection to the server was lost.\nHINT:  Connect again; jitdb restores its tunnel by itself.",
      ),
    });
  });
});
