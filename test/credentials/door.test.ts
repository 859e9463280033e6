// Invariant 42, the database's own door: the pg_hba.conf lines that the set-up SQL prints.

import { readFile, writeFile } from "node:fs/promises";
import { Socket } from "node:net";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { postgresEngine } from "../../packages/server/src/engines/postgres/engine.ts";
import { testedVersions } from "../support/versions.ts";
import { createFixture, type Fixture, type TestUser } from "./fixture.ts";
import { until } from "./service-fixture.ts";

describe.each(testedVersions)("the printed pg_hba.conf lines on the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await createFixture(version);
    const script = postgresEngine.setupSql(fixture.database, { gatewayAddresses: ["127.0.0.1"] });
    const lines = [...script.matchAll(/^-- {3}((?:host|hostssl|local) .*)$/gm)].map(
      ([, line]) => line,
    );
    const file = join(fixture.server.dataFolder, "pg_hba.conf");
    const everywhere = "host all all 127.0.0.0/8 scram-sha-256";
    await writeFile(file, [...lines, everywhere, await readFile(file, "utf8")].join("\n"));
    fixture.server.reload();
    await until(async () =>
      (await warnings()).every((message) => !message.includes("past the gateway")),
    );
  });
  afterAll(() => fixture.stop());

  async function warnings(): Promise<string[]> {
    return (await fixture.executor.inspect()).map(({ message }) => message);
  }

  function connectFrom(localAddress: string, user: TestUser): Promise<pg.Client> {
    return open({ stream: () => boundTo(localAddress), host: fixture.server.host }, user);
  }

  async function open(
    place: pg.ClientConfig,
    user: TestUser,
    database = "orders",
  ): Promise<pg.Client> {
    const { name, password } = user;
    const client = new pg.Client({
      ...place,
      port: fixture.server.port,
      user: name,
      password,
      database,
    });
    await client.connect();
    await client.end();
    return client;
  }

  test("let users in from the gateway's address alone, and into their database alone (invariant 42)", async () => {
    const user = await fixture.createUser("read-only");
    const refused = /pg_hba.conf rejects connection/;
    await connectFrom("127.0.0.1", user);
    await expect(connectFrom("127.0.0.2", user)).rejects.toThrow(refused);
    await expect(open({ host: fixture.server.socketFolder }, user)).rejects.toThrow(refused);
    await expect(open({ host: fixture.server.host }, user, "postgres")).rejects.toThrow(refused);
    await fixture.executor.drop(user);
  });

  test("leave everybody else as they were", async () => {
    expect(await fixture.superuser("SELECT 1")).toEqual([[1]]);
    expect(await fixture.executor.users("test")).toEqual([]);
  });

  test("leave check nothing to say but which profile leaves traces (invariant 33)", async () => {
    const expected =
      fixture.server.majorVersion < 16 ? [expect.stringContaining("Before PostgreSQL 16")] : [];
    const mark = expect.stringContaining("The profile admin leaves traces");
    expect(await warnings()).toEqual([...expected, mark]);
  });
});

/** A socket that connects from one of this machine's loopback addresses. */
function boundTo(localAddress: string): Socket {
  const socket = new Socket();
  const connect = socket.connect.bind(socket);
  socket.connect = ((port: number, host: string) =>
    connect({ port, host, localAddress })) as typeof socket.connect;
  return socket;
}
