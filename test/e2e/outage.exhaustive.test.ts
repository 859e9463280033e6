// Ends that meet obstacles: the database is away, a user came in by a door of its own, and somebody else's installation is there.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, instant } from "../support/eventually.ts";
import { Company } from "./company.ts";

let company: Company;
beforeAll(async () => {
  company = await Company.found();
});
afterAll(() => company?.close());

test("a database that is away at the end has no user a second after it is back, and the lateness is on record (invariants 30, 31)", async () => {
  const { installation } = company;
  const door = await company.open("3s");
  const client = await door.client();
  const cut = client.query("SELECT pg_sleep(60)").catch((error: unknown) => error);
  await installation.postgres.crash();
  expect(await cut).toBeInstanceOf(Error);
  await instant(door.endsAt + 1000);
  expect(await company.grantView(door.ready.grant)).toMatchObject({
    state: "ended",
    end: "expired",
    user: "ending",
  });
  await installation.postgres.restart();
  const backAt = Date.now();
  expect(await installation.ephemeralUsers()).toHaveLength(1);
  await eventually(
    "the user is gone",
    async () => (await installation.ephemeralUsers()).length === 0,
  );
  expect(Date.now() - backAt).toBeLessThan(1500);
  const journal = await eventually("that is on record", async () => {
    const read = await company.journal();
    return read.of("user.dropped").some(({ grant }) => grant === door.ready.grant) && read;
  });
  const dropped = journal.of("user.dropped").find(({ grant }) => grant === door.ready.grant);
  expect(dropped?.latenessMs).toBeGreaterThan(1000);
  expect(await door.child).toMatchObject({ exitCode: 0 });
});

test("a user that gives itself a password and comes past the gateway is dead within a second and on record (invariant 42)", async () => {
  const { postgres } = company.installation;
  const door = await company.open("1m");
  const inside = await door.client();
  await inside.query("ALTER ROLE CURRENT_USER PASSWORD 'a password of my own'");
  const { rows } = await inside.query<{ me: string }>("SELECT current_user::text AS me");
  const user = rows[0]?.me ?? "";
  const outside = new pg.Client({
    host: postgres.host,
    port: postgres.port,
    database: "orders",
    user,
    password: "a password of my own",
  });
  const ended = new Promise<Error>((resolve) => outside.on("error", resolve));
  await outside.connect();
  const connectedAt = Date.now();
  const found = await outside.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  expect(await ended).toMatchObject({ code: "57P01" });
  expect(Date.now() - connectedAt).toBeLessThan(1000);
  const stranger = await eventually("it is on record", async () =>
    (await company.journal()).of("user.stranger_terminated").at(-1),
  );
  expect(stranger).toMatchObject({ user, pid: found.rows[0]?.pid, clientAddress: "127.0.0.1" });
  // The gateway's own session of the same user was never meant.
  expect((await inside.query("SELECT 1 AS alive")).rows).toEqual([{ alive: 1 }]);
  const journal = await company.journal();
  const texts = JSON.stringify(journal.of("statement.intent"));
  expect(texts).toContain("[masked]");
  expect(texts).not.toContain("a password of my own");
  await inside.end();
  await company.revokeAll();
});

test("two installations on one cluster leave each other's users alone, at a start, at an end and after a crash (invariant 31)", async () => {
  const ours = await company.open("5m");
  const client = await ours.client();
  const neighbours = await Company.found({
    template: "none",
    async prepare({ serverFolder, postgres }) {
      // The same cluster; the DBA's SQL has been run there, and both use the same admin.
      const file = join(serverFolder, "jitdb.yaml");
      const written = await readFile(file, "utf8");
      const { port } = company.installation.postgres;
      await writeFile(file, written.replace(`port: ${postgres.port}\n`, `port: ${port}\n`));
    },
  });
  try {
    const theirs = await neighbours.open("5m");
    const theirClient = await theirs.client();
    expect(await company.installation.ephemeralUsers()).toHaveLength(2);
    expect((await client.query("SELECT 1 AS alive")).rows).toEqual([{ alive: 1 }]);
    await neighbours.installation.killServer();
    await neighbours.installation.startServer();
    await neighbours.alice.expect(["revoke", theirs.ready.grant]);
    await eventually("their user is gone", async () => {
      const users = await company.installation.ephemeralUsers();
      return users.length === 1;
    });
    expect((await client.query("SELECT 2 AS alive")).rows).toEqual([{ alive: 2 }]);
    await theirClient.end().catch(() => {
      // Its session ended with the server's crash.
    });
  } finally {
    await neighbours.close();
  }
  const { rows } = await client.query<{ me: string }>("SELECT current_user::text AS me");
  expect(await company.installation.ephemeralUsers()).toEqual([rows[0]?.me]);
  expect((await company.journal()).of("user.stranger_terminated")).toHaveLength(1);
  await client.end();
});
