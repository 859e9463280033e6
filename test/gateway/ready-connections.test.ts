// Connections that are made before a client comes, seen from the database's side.

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { createRig, type Rig } from "./rig.ts";
import { WireClient } from "./wire-client.ts";

describe("a connection that was made ahead", () => {
  let postgres: RunningPostgres;
  let door: Server;
  let rig: Rig;
  /** Connections that came to the database's address, in order. */
  let accepted: Socket[];
  /** Closes the first one as soon as something is said on it. */
  let isFirstLost: boolean;
  /** Answers nothing on the first one, as a network does that has forgotten it. */
  let isFirstSilent: boolean;

  beforeAll(async () => {
    postgres = await startPostgres({ version: "system" });
  });
  afterAll(() => postgres.stop());
  beforeEach(async () => {
    accepted = [];
    isFirstLost = false;
    isFirstSilent = false;
    door = createServer((socket) => {
      const index = accepted.push(socket) - 1;
      socket.on("error", () => undefined);
      if (isFirstLost && index === 0) {
        socket.once("data", () => socket.destroy());
        return;
      }
      if (isFirstSilent && index === 0) {
        socket.resume();
        return;
      }
      const server = connect(postgres.port, postgres.host);
      server.on("error", () => undefined);
      socket.pipe(server).pipe(socket);
      socket.on("close", () => server.destroy());
    }).listen(0, "127.0.0.1");
    await once(door, "listening");
    const { port } = door.address() as AddressInfo;
    rig = await createRig(postgres, {
      database: { host: "127.0.0.1", port, spareSessions: false },
    });
  });
  afterEach(async () => {
    await rig.close();
    door.close();
  });

  const ahead = async () => {
    const come = once(door, "connection");
    const agent = await rig.agent("alice");
    const [socket]: Socket[] = await come;
    return { agent, socket: socket as Socket };
  };

  test("is there before the client, is what its session uses, and has a successor", async () => {
    const grant = await rig.grant("alice");
    const { agent } = await ahead();
    expect(accepted).toHaveLength(1);
    const next = once(door, "connection");
    const client = await WireClient.open(agent, grant);
    await next;
    expect((await client.query("select 'here'")).rows).toEqual([["here"]]);
    expect(accepted).toHaveLength(2);
    expect(accepted[0]?.bytesRead).toBeGreaterThan(0);
    expect(accepted[1]?.bytesRead).toBe(0);
  });

  test("is made for nobody without a grant, and let go when the last agent is gone", async () => {
    await rig.agent("bob");
    await rig.grant("alice");
    const { agent, socket } = await ahead();
    expect(accepted).toHaveLength(1);
    const closed = once(socket.resume(), "close");
    await agent.close();
    await closed;
    expect(socket.bytesRead).toBe(0);
  });

  test("that the network has lost without a word costs a client two seconds, and not its login", async () => {
    isFirstSilent = true;
    const grant = await rig.grant("alice");
    const { agent } = await ahead();
    const client = await WireClient.open(agent, grant);
    expect((await client.query("select 'here'")).rows).toEqual([["here"]]);
    expect(accepted[0]?.bytesRead).toBeGreaterThan(0);
    expect(accepted.length).toBeGreaterThan(1);
  });

  test("that the database has left is no client's trouble", async () => {
    isFirstLost = true;
    const grant = await rig.grant("alice");
    const { agent } = await ahead();
    const client = await WireClient.open(agent, grant);
    expect((await client.query("select 'here'")).rows).toEqual([["here"]]);
    expect(accepted.length).toBeGreaterThan(1);
  });
});
