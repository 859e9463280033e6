// The tunnel's upkeep: the login renewed underneath, the WebSocket made again, the word when it is over. And a front that
// is pressed by clients who never say who they are.

import { randomBytes } from "node:crypto";
import { connect, createServer, type Socket } from "node:net";
import { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { frontLimits, PostgresFront } from "../../packages/cli/src/agent/postgres/front.ts";
import type { StreamReceiver } from "../../packages/cli/src/agent/stream.ts";
import { Tunnel, type TunnelTimes, tunnelTimes } from "../../packages/cli/src/agent/tunnel.ts";
import { FastWebSocket } from "../../packages/cli/src/network/fast-websocket.ts";
import { FakeServer } from "./fake-server.ts";

let server: FakeServer;
let tunnel: Tunnel | undefined;

beforeEach(async () => {
  server = await FakeServer.start();
});
afterEach(async () => {
  tunnel?.close(new JitdbError("local.interrupted", "The test is over."));
  await server.stop();
});

interface Told {
  readonly lost: string[];
  restored: number;
  readonly failed: string[];
}

/** A tunnel with its events noted down. */
function createTunnel(options: { times?: Partial<TunnelTimes>; token?: () => string } = {}) {
  const { address } = server;
  const told: Told = { lost: [], restored: 0, failed: [] };
  const made = new Tunnel(
    {
      connect: () => openWebSocket(address),
      authorize: async () => ({
        accessToken: new Secret(options.token?.() ?? "one"),
        proof: "proof",
      }),
      clock: { now: () => Date.now() },
      random: { bytes: (count) => randomBytes(count) },
      software: "test",
    },
    {
      notice: () => undefined,
      lost: (error) => told.lost.push(error.code),
      restored: () => {
        told.restored += 1;
      },
      failed: (error) => told.failed.push(error.code),
    },
    { ...tunnelTimes, firstPauseMs: 5, longestPauseMs: 10, ...options.times },
  );
  tunnel = made;
  return { tunnel: made, told };
}

function openWebSocket(address: string): Promise<FastWebSocket> {
  return new Promise((resolve, reject) => {
    const socket = new FastWebSocket(`${address.replace("http", "ws")}/api/v1/tunnel`, [
      "jitdb.tunnel.v1",
    ]);
    socket.on("error", () => reject(new JitdbError("server.unreachable", "Can't reach it.")));
    socket.on("open", () => {
      socket.pause();
      resolve(socket);
    });
  });
}

/** A receiver that notes how it ended. */
function createReceiver() {
  const ends: (string | undefined)[] = [];
  const receiver: StreamReceiver = {
    opened: () => undefined,
    data: () => undefined,
    writable: () => undefined,
    peerClosed: () => undefined,
    ended: (error) => ends.push(error?.code),
  };
  return { receiver, ends };
}

describe("the tunnel", () => {
  it("renews the access token underneath, once for each new token", async () => {
    const tokens = ["one", "one", "two"];
    const { tunnel: made } = createTunnel({
      times: { renewalMs: 5 },
      token: () => tokens.shift() ?? "two",
    });
    await made.start();
    const [peer] = server.tunnels;

    await expect.poll(() => peer?.tokens, { timeout: 5000 }).toEqual(["two"]);
    expect(tokens).toEqual([]);
  });

  it("makes a lost WebSocket again, one at a time, and lets new streams wait for it", async () => {
    const { tunnel: made, told } = createTunnel();
    await made.start();
    const open = made.opener("postgres", "grt_1");
    const lived = createReceiver();
    await open("session", new Uint8Array(8), lived.receiver);
    server.cut();
    await expect.poll(() => told.lost, { timeout: 5000 }).toEqual(["tunnel.lost"]);
    const late = createReceiver();
    await open("session", new Uint8Array(8), late.receiver);

    expect(told.restored).toBe(1);
    expect(server.tunnels.size).toBe(1);
    expect(lived.ends).toHaveLength(1);
    await expect.poll(() => late.ends, { timeout: 5000 }).toEqual(["database.unavailable"]);
  });

  it("gives up when the server stays away, and tells those who wait", async () => {
    const { tunnel: made, told } = createTunnel({ times: { maxAttempts: 3 } });
    await made.start();
    await server.stop();
    await expect.poll(() => told.failed, { timeout: 5000 }).toEqual(["server.unreachable"]);

    const { receiver } = createReceiver();
    await expect(
      made.opener("postgres", "grt_1")("session", new Uint8Array(8), receiver),
    ).rejects.toThrow("Can't reach it.");
  });

  it("does not come back when the gateway says that the login is over", async () => {
    const { tunnel: made, told } = createTunnel();
    await made.start();
    for (const peer of server.tunnels) {
      peer.goAway({ code: "login.disabled", message: "The account is disabled." });
    }

    await expect.poll(() => told.failed, { timeout: 5000 }).toEqual(["login.disabled"]);
    expect(told.lost).toEqual([]);
    expect(server.tunnels.size).toBe(0);
  });

  it("refuses a server that opens the WebSocket and says nothing", async () => {
    const { tunnel: made } = createTunnel({ times: { helloTimeoutMs: 5 } });
    server.isSilent = true;

    await expect(made.start()).rejects.toMatchObject({ code: "server.unsuitable" });
  });
});

describe("the front", () => {
  const sockets: Socket[] = [];
  let clientsOf: (count: number) => Promise<Socket[]>;
  let stop: () => void;

  beforeEach(async () => {
    const front = await PostgresFront.create(
      {
        openStream: () => Promise.reject(new Error("nothing goes upstream")),
        password: new Secret("x"),
      },
      { ...frontLimits, maxStarting: 2, startUpTimeoutMs: 200 },
    );
    const listener = createServer({ allowHalfOpen: true }, (socket) => front.accept(socket, "tcp"));
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    const address = listener.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    clientsOf = (count) =>
      Promise.all(
        Array.from(
          { length: count },
          () =>
            new Promise<Socket>((resolve) => {
              const socket = connect(port, "127.0.0.1", () => resolve(socket));
              socket.on("error", () => undefined);
              sockets.push(socket);
            }),
        ),
      );
    stop = () => listener.close();
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) {
      socket.destroy();
    }
    stop();
  });

  const closed = (socket: Socket) =>
    new Promise<number>((resolve) => {
      socket.resume();
      socket.on("close", () => resolve(performance.now()));
    });

  it("cuts a client that sends a byte now and then, at its deadline (invariant 14)", async () => {
    const startedAt = performance.now();
    const [socket] = await clientsOf(1);
    const dripping = setInterval(() => socket?.write("\0"), 50);
    const endedAt = socket === undefined ? 0 : await closed(socket);
    clearInterval(dripping);

    expect(endedAt - startedAt).toBeGreaterThan(150);
    expect(endedAt - startedAt).toBeLessThan(1500);
  });

  it("closes further clients while as many as it bears have not said who they are", async () => {
    const clients = await clientsOf(3);

    await Promise.race(clients.map(closed));
    expect(clients.filter((client) => client.readyState === "open").length).toBe(2);
  });
});
