import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Connection, connectToServer, type Target } from "./connection.ts";
import { ReadyConnections, readyTimes } from "./ready-connections.ts";

let server: Server;
let target: Target;
/** What the pool has asked for, in order. */
let made: Promise<Connection>[];

beforeEach(async () => {
  server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  target = { name: "orders", host: "127.0.0.1", port, tls: { mode: "disable" } };
  made = [];
});

afterEach(async () => {
  for (const connection of made) {
    (await connection.catch(() => undefined))?.socket.destroy();
  }
  server.close();
});

const connect: typeof connectToServer = (...args) => {
  const connection = connectToServer(...args);
  made.push(connection);
  return connection;
};

/** The `index`th that was asked for, when the pool has it. */
async function ready(index: number): Promise<Connection> {
  const connection = await made[index];
  await new Promise(setImmediate);
  if (connection === undefined) {
    throw new Error(`There is no connection ${index}.`);
  }
  return connection;
}

const hasRoom = () => true;

describe("ReadyConnections", () => {
  it("gives a login the connection that was made ahead, and makes the next one", async () => {
    const pool = new ReadyConnections(connect);
    pool.keep([{ database: target, hasRoom }]);
    const first = await ready(0);
    expect(await pool.take(target)).toBe(first);
    const second = await ready(1);
    expect(await pool.take(target)).toBe(second);
    pool.keep([]);
  });

  it("gives away one that is not quite there, once", async () => {
    const pool = new ReadyConnections(connect);
    pool.keep([{ database: target, hasRoom }]);
    const taken = await Promise.all([pool.take(target), pool.take(target)]);
    expect(taken).toEqual([await made[0], await made[1]]);
    expect(taken[0]).not.toBe(taken[1]);
    pool.keep([]);
  });

  it("has none for a database that nobody is expected at, and closes those that are no longer wanted", async () => {
    const pool = new ReadyConnections(connect);
    const accepted = once(server, "connection");
    pool.keep([{ database: target, hasRoom }]);
    expect(await pool.take({ name: "billing" })).toBeUndefined();
    await ready(0);
    const [socket]: Socket[] = await accepted;
    socket?.resume();
    pool.keep([]);
    await once(socket as Socket, "close");
    expect(await pool.take(target)).toBeUndefined();
    expect(made).toHaveLength(1);
  });

  it("makes none beyond the database's limit of connections", async () => {
    const pool = new ReadyConnections(connect);
    let room = 0;
    const awaited = [{ database: target, hasRoom: () => room > 0 }];
    pool.keep(awaited);
    expect(made).toHaveLength(0);
    room = 1;
    pool.keep(awaited);
    await ready(0);
    room = 0;
    expect(await pool.take(target)).toBeDefined();
    expect(made).toHaveLength(1);
    pool.keep([]);
  });

  it("gives away none that the server may be about to close for its age", async () => {
    const pool = new ReadyConnections(connect, { ...readyTimes, oldestMs: -1 });
    pool.keep([{ database: target, hasRoom }]);
    const first = await ready(0);
    expect(await pool.take(target)).not.toBe(first);
    expect(first.socket.destroyed).toBe(true);
    pool.keep([]);
  });

  it("makes another one before one is too old", async () => {
    const pool = new ReadyConnections(connect, { ...readyTimes, renewMs: 1 });
    pool.keep([{ database: target, hasRoom }]);
    const first = await ready(0);
    await once(first.socket, "close");
    expect(made.length).toBeGreaterThan(1);
    pool.keep([]);
  });

  it("forgets one that the server closes, and pauses before the next", async () => {
    const pool = new ReadyConnections(connect);
    const accepted = once(server, "connection");
    pool.keep([{ database: target, hasRoom }]);
    const first = await ready(0);
    const [socket]: Socket[] = await accepted;
    const closed = once(first.socket, "close");
    socket?.destroy();
    await closed;
    pool.keep([{ database: target, hasRoom }]);
    expect(await pool.take(target)).toBeUndefined();
    expect(made).toHaveLength(1);
    pool.keep([]);
  });

  it("gives away none on which the server spoke before it was asked", async () => {
    const pool = new ReadyConnections(connect);
    const accepted = once(server, "connection");
    pool.keep([{ database: target, hasRoom }]);
    const first = await ready(0);
    const [socket]: Socket[] = await accepted;
    const come = once(first.socket, "readable");
    socket?.write("R");
    await come;
    expect(await pool.take(target)).not.toBe(first);
    expect(first.socket.destroyed).toBe(true);
    pool.keep([]);
  });

  it("leaves it to the login to find out why none can be made", async () => {
    const pool = new ReadyConnections(async () => {
      throw new Error("refused");
    });
    pool.keep([{ database: target, hasRoom }]);
    expect(await pool.take(target)).toBeUndefined();
    pool.keep([]);
  });
});
