// Prepared transactions at the end of a user (invariant 29): its own, and before 16 those that it prepared as a shared role.

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { testedVersions } from "../support/versions.ts";
import { end, isGone } from "./ending.ts";
import { createFixture, type Fixture } from "./fixture.ts";

describe.each(testedVersions)("prepared transactions on the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await createFixture(version);
    await fixture.superuser("CREATE DATABASE other", "postgres");
  });
  afterAll(() => fixture.stop());
  afterEach(async () => {
    expect(await prepared()).toEqual([]);
  });

  const isBefore16 = () => fixture.server.majorVersion < 16;

  async function prepared(): Promise<unknown[]> {
    return (await fixture.superuser("SELECT gid FROM pg_prepared_xacts ORDER BY 1")).flat();
  }

  test("are rolled back in every database, whatever their names (invariant 29)", async () => {
    const user = await fixture.createUser("admin");
    for (const database of ["orders", "other", "postgres"]) {
      const client = await fixture.login(user, database);
      await client.query("BEGIN; SELECT lo_create(0)");
      await client.query(`PREPARE TRANSACTION 'it''s "${database}"; --'`);
    }
    const report = await end(fixture, user);
    expect(report.obstacles).toEqual([]);
    expect(report.did).toContain(`rolled back the prepared transaction 'it''s "other"; --'`);
    await isGone(fixture, user);
  });

  test("of a table that the user made there hold up nothing (invariant 29)", async () => {
    const user = await fixture.createUser("admin");
    const client = await fixture.login(user);
    await client.query("CREATE TABLE app.held (id int)");
    await client.query("BEGIN; LOCK TABLE app.held; CREATE TABLE app.unborn (id int)");
    await client.query("PREPARE TRANSACTION 'tables'");
    expect((await end(fixture, user)).obstacles).toEqual([]);
    await isGone(fixture, user);
    await fixture.superuser("DROP TABLE app.held");
  });

  test.each([
    ["the row of the user's role", "ALTER ROLE CURRENT_USER PASSWORD 'mine'"],
    ["the row, in a savepoint", "SAVEPOINT s; ALTER ROLE CURRENT_USER PASSWORD 'mine'"],
    ["the user's role", "ALTER ROLE CURRENT_USER SET search_path = app"],
    ["an object of the user", "CREATE TABLE app.unborn (id int)"],
  ])(
    "made as the group, holding %s, are known for the user's while another grant's stay (invariant 29)",
    async (_what, statement) => {
      const [user, neighbour] = await Promise.all([
        fixture.createUser("admin"),
        fixture.createUser("admin"),
      ]);
      for (const role of isBefore16() ? ["jitdb_orders_admin", "jitdb_ephemeral"] : ["NONE"]) {
        const mine = await fixture.login(user);
        await mine.query(
          `BEGIN; ${role === "jitdb_ephemeral" ? "SELECT lo_create(0)" : statement}; SET ROLE ${role}`,
        );
        await mine.query(`PREPARE TRANSACTION 'mine as ${role}'`);
        const theirs = await fixture.login(neighbour);
        await theirs.query(`BEGIN; SET ROLE ${role}; SELECT lo_create(0)`);
        await theirs.query(`PREPARE TRANSACTION 'theirs as ${role}'`);
      }
      const report = await end(fixture, user);
      expect(report.obstacles).toEqual([]);
      await isGone(fixture, user);
      expect(await prepared()).toEqual(
        isBefore16()
          ? ["theirs as jitdb_ephemeral", "theirs as jitdb_orders_admin"]
          : ["theirs as NONE"],
      );
      expect((await end(fixture, neighbour)).obstacles).toEqual([]);
      await isGone(fixture, neighbour);
    },
  );

  test("that tell nobody's name stay until the last user of their role has ended", async () => {
    const [user, neighbour] = await Promise.all([
      fixture.createUser("read-only"),
      fixture.createUser("read-only"),
    ]);
    const role = isBefore16() ? "jitdb_orders_read_only" : "NONE";
    const client = await fixture.login(user);
    await client.query(`SET ROLE ${role}; BEGIN`);
    await client.query("PREPARE TRANSACTION 'nameless'");
    expect((await end(fixture, user)).obstacles).toEqual([]);
    await isGone(fixture, user);
    expect(await prepared()).toEqual(isBefore16() ? ["nameless"] : []);
    expect((await end(fixture, neighbour)).obstacles).toEqual([]);
  });

  test("of two users that end at once are rolled back by one of them", async () => {
    const users = await Promise.all([
      fixture.createUser("read-only"),
      fixture.createUser("read-only"),
    ]);
    const role = isBefore16() ? "jitdb_orders_read_only" : "NONE";
    const client = await fixture.login(users[0]);
    await client.query(`SET ROLE ${role}; BEGIN`);
    await client.query("PREPARE TRANSACTION 'either'");
    const reports = await Promise.all(users.map((user) => end(fixture, user)));
    expect(reports.flatMap(({ obstacles }) => obstacles)).toEqual([]);
  });

  test("of a server that crashed and came back are rolled back, and temporary tables that it forgot are dropped", async () => {
    const user = await fixture.createUser("admin");
    const client = await fixture.login(user);
    await client.query("CREATE TEMPORARY TABLE forgotten (id int)");
    await client.query("BEGIN; CREATE TABLE app.unborn (id int)");
    await client.query("PREPARE TRANSACTION 'survivor'");
    await fixture.server.crash();
    await fixture.server.restart();
    expect(await prepared()).toEqual(["survivor"]);
    expect((await end(fixture, user)).obstacles).toEqual([]);
    await isGone(fixture, user);
    expect(await fixture.superuser("SELECT FROM pg_class WHERE relname = 'forgotten'")).toEqual([]);
  });
});
