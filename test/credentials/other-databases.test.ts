// The other databases of a cluster: what check says of them, and that its SQL is enough for the end of a grant (invariant 33).

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testedVersions } from "../support/versions.ts";
import { end, isGone } from "./ending.ts";
import { createFixture, type Fixture } from "./fixture.ts";

describe.each(testedVersions)("other databases on the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await createFixture(version);
    await fixture.superuser('CREATE DATABASE "old one"', "postgres");
    await fixture.superuser("CREATE DATABASE closed", "postgres");
    await fixture.superuser(
      'GRANT CREATE ON SCHEMA public TO jitdb_orders_admin; GRANT CREATE ON DATABASE "old one" TO jitdb_orders_admin',
      "old one",
    );
    await fixture.superuser(
      "REVOKE CONNECT ON DATABASE closed FROM PUBLIC; GRANT CONNECT ON DATABASE closed TO jitdb_ephemeral",
    );
  });
  afterAll(() => fixture.stop());

  async function warnings() {
    const problems = await fixture.executor.inspect();
    return problems.filter(({ message }) => message.includes("of the same cluster"));
  }

  test("where a grant can leave what the end cannot clear are named, each with its SQL", async () => {
    const found = await warnings();
    const closed = {
      severity: "warning",
      message: expect.stringMatching(
        /database closed .* lets the users of grants in, but not the admin role/,
      ),
      fix: expect.stringContaining('REVOKE CONNECT ON DATABASE "closed" FROM PUBLIC;'),
    };
    const old = {
      severity: "warning",
      message: expect.stringMatching(/database old one .* what the keeper cannot take over/),
      fix: expect.stringContaining('GRANT USAGE, CREATE ON SCHEMA public TO "jitdb_keeper";'),
    };
    // Before 16 the admin cannot be a member of the marker without having its rights.
    expect(found).toEqual(fixture.server.majorVersion < 16 ? [old] : [closed, old]);
    const [, sql = ""] = /^In old one: (.*) Or keep/.exec(found.at(-1)?.fix ?? "") ?? [];
    await fixture.superuser(sql, "old one");
    await fixture.superuser("REVOKE CONNECT ON DATABASE closed FROM jitdb_ephemeral");
    expect(await warnings()).toEqual([]);
  });

  test("are cleaned like the first one then (invariant 33)", async () => {
    const user = await fixture.createUser("admin");
    const client = await fixture.login(user, "old one");
    await client.query(`CREATE TABLE t (id int); CREATE SCHEMA s; CREATE TABLE s.t (id int);
      CREATE FUNCTION f() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'`);
    expect((await end(fixture, user)).obstacles).toEqual([]);
    await isGone(fixture, user);
    expect(
      await fixture.superuser(
        "SELECT relowner::regrole::text FROM pg_class WHERE relname = 't' AND relkind = 'r'",
        "old one",
      ),
    ).toEqual([["jitdb_keeper"], ["jitdb_keeper"]]);
    expect(await fixture.superuser("SELECT to_regproc('public.f')::text", "old one")).toEqual([
      [null],
    ]);
  });
});
