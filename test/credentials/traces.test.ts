// What a grant leaves behind is found by comparing the catalogue before and after it (invariant 33).

import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { Comparison, Trace } from "../../packages/server/src/credentials/traces.ts";
import { skip } from "../support/skip.ts";
import { testedVersions } from "../support/versions.ts";
import { createFixture, type Fixture, type TestUser } from "./fixture.ts";

describe.each(testedVersions)("traces on the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await createFixture(version);
  });
  afterAll(() => fixture.stop());

  /** A whole grant: what it left, by the comparison. */
  async function leave(
    profile: string,
    work: (user: TestUser) => Promise<void>,
  ): Promise<Comparison> {
    const { executor } = fixture;
    const before = await executor.snapshot(profile);
    const user = await fixture.createUser(profile);
    await work(user);
    await executor.lock(user);
    await executor.terminate(user);
    await executor.rollbackPrepared(user);
    await executor.clean(user);
    expect(await executor.drop(user)).toMatchObject({ obstacles: [] });
    return await executor.compare(JSON.parse(JSON.stringify(before)));
  }

  const words = (traces: readonly Trace[]) =>
    traces.map(({ change, kind, identity }) => `${change} ${kind} ${identity}`);

  test("finds nothing after a grant that read (invariant 33)", async () => {
    const found = await leave("read-only", async (user) => {
      await (await fixture.login(user)).query("SELECT * FROM app.orders");
    });
    expect(found).toEqual({ traces: [], gaps: [] });
  });

  test("finds a table that was kept, and how to look at it and drop it (invariant 33)", async () => {
    const { traces, gaps } = await leave("admin", async (user) => {
      await (await fixture.login(user)).query('CREATE TABLE app."Kept one" (id int)');
    });
    expect(gaps).toEqual([]);
    expect(traces).toMatchObject([
      {
        change: "new",
        database: "orders",
        kind: "table",
        identity: 'app."Kept one"',
        owner: "jitdb_keeper",
        risk: "data",
        kept: true,
        words: [["kept", "one"]],
      },
    ]);
    const [{ look, undo } = { look: null, undo: null }] = traces;
    await fixture.superuser(`${look}; ${undo}`);
  });

  test("finds what somebody did to the group itself, with SQL that undoes it (invariant 33)", async () => {
    const { executor } = fixture;
    await fixture.superuser(`CREATE ROLE outsider; CREATE TABLE app.of_group (id int);
      ALTER TABLE app.of_group OWNER TO jitdb_orders_admin`);
    const before = await executor.snapshot("admin");
    await fixture.superuser(`CREATE FUNCTION app.door() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        AS 'BEGIN RETURN NEW; END';
      ALTER FUNCTION app.door() OWNER TO jitdb_orders_admin;
      CREATE TRIGGER ring BEFORE INSERT ON app.of_group FOR EACH ROW EXECUTE FUNCTION app.door();
      SET ROLE jitdb_orders_admin;
      GRANT SELECT, INSERT ON app.of_group TO PUBLIC;
      ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO PUBLIC;
      RESET ROLE;
      GRANT jitdb_orders_admin TO outsider;
      ALTER ROLE jitdb_orders_admin IN DATABASE orders SET search_path = 'app'`);
    const { traces, gaps } = await executor.compare(before);
    expect(gaps).toEqual([]);
    expect(words(traces).sort()).toEqual([
      "new default privileges of jitdb_orders_admin on tables in schema app",
      "new function app.door()",
      "new membership outsider in jitdb_orders_admin",
      "new privilege table app.of_group to PUBLIC",
      "new setting search_path of jitdb_orders_admin in database orders",
      "new trigger ring on app.of_group",
    ]);
    expect(traces.find(({ kind }) => kind === "function")?.detail).toBe("SECURITY DEFINER");
    expect(traces.find(({ kind }) => kind === "privilege")?.detail).toBe("INSERT, SELECT");
    for (const kind of [
      "trigger",
      "function",
      "privilege",
      "default privileges",
      "membership",
      "setting",
    ]) {
      await fixture.superuser(traces.find((trace) => trace.kind === kind)?.undo ?? "");
    }
    expect(await executor.compare(before)).toEqual({ traces: [], gaps: [] });
    await fixture.superuser("DROP TABLE app.of_group; DROP ROLE outsider");
  });

  test("looks into every database of the cluster in which the roles have something (invariant 33)", async () => {
    await fixture.superuser("CREATE DATABASE second", "postgres");
    await fixture.superuser("GRANT CREATE ON SCHEMA public TO jitdb_orders_admin", "second");
    const before = await fixture.executor.snapshot("admin");
    await fixture.superuser(
      "SET ROLE jitdb_orders_admin; CREATE VIEW public.pane AS SELECT 1 AS x; GRANT SELECT ON public.pane TO PUBLIC",
      "second",
    );
    const { traces, gaps } = await fixture.executor.compare(before);
    expect(gaps).toEqual([]);
    expect(traces.map(({ database, kind, identity }) => [database, kind, identity])).toEqual([
      ["second", "view", "public.pane"],
      ["second", "privilege", "view public.pane to PUBLIC"],
    ]);
    await fixture.superuser("REVOKE CONNECT ON DATABASE second FROM PUBLIC", "second");
    expect((await fixture.executor.compare(before)).gaps).toEqual([
      "When it had ended: The admin role may not look into the database second.",
    ]);
    await fixture.superuser("DROP DATABASE second WITH (FORCE)", "postgres");
  });

  test("compares the rest where one catalogue cannot be read, and says which one (invariant 33)", async () => {
    const before = await fixture.executor.snapshot("admin");
    await fixture.superuser(`REVOKE SELECT ON pg_catalog.pg_user_mappings FROM PUBLIC;
      ALTER ROLE jitdb_orders_admin SET work_mem = '64kB'`);
    const { traces, gaps } = await fixture.executor.compare(before);
    await fixture.superuser(`GRANT SELECT ON pg_catalog.pg_user_mappings TO PUBLIC;
      ALTER ROLE jitdb_orders_admin RESET work_mem`);
    expect(words(traces)).toEqual(["new setting work_mem of jitdb_orders_admin"]);
    expect(gaps).toEqual([
      "When it had ended: The user mappings in orders could not be read: permission denied for view pg_user_mappings.",
    ]);
  });

  test("says which profiles can leave traces, and by what (invariant 33)", async () => {
    const ways = await fixture.executor.waysToLeaveTraces();
    const asGroup = "can act as jitdb_orders_admin, so that its end does not show what it made";
    expect(ways).toEqual({
      "read-only": [],
      "read-write": [],
      admin: ["can make objects in app", ...(version === "system" ? [asGroup] : [])],
    });
  });
});

test("finds what was made as the group, which PostgreSQL 15 cannot refuse (invariant 33)", async (context) => {
  const fixture = await createFixture("system");
  onTestFinished(() => fixture.stop());
  if (fixture.server.majorVersion > 15) {
    skip(context, "no PostgreSQL 15 is installed");
  }
  const before = await fixture.executor.snapshot("admin");
  const user = await fixture.createUser("admin");
  await (await fixture.login(user)).query(`SET ROLE jitdb_orders_admin;
    CREATE FUNCTION app.back_door() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'`);
  const { traces } = await fixture.executor.compare(before);
  expect(traces).toMatchObject([
    { kind: "function", identity: "app.back_door()", risk: "acts", kept: false },
  ]);
  await fixture.superuser(traces[0]?.undo ?? "");
});
