import type pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { postgresEngine } from "../../packages/server/src/engines/postgres/engine.ts";
import { testedVersions } from "../support/versions.ts";
import {
  catalogue as catalogueOf,
  end as endOf,
  isGone as isGoneFrom,
  runRemedy,
} from "./ending.ts";
import { createFixture, type Fixture, sqlstateOf, type TestUser } from "./fixture.ts";

describe.each(testedVersions)("the end of a user on the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await createFixture(version);
  });
  afterAll(() => fixture.stop());

  const end = (user: TestUser) => endOf(fixture, user);
  const isGone = (user: TestUser) => isGoneFrom(fixture, user);
  const catalogue = () => catalogueOf(fixture);

  test("ends idle, running and hung sessions and leaves the catalogue as it was (invariants 30, 33)", async () => {
    const before = await catalogue();
    const user = await fixture.createUser("read-write");
    const [idle, sleeping, inTransaction, copying] = await Promise.all(
      Array.from({ length: 4 }, () => fixture.login(user)),
    );
    const ended = Promise.all([idle, sleeping, inTransaction, copying].map(whenEnded));
    await inTransaction?.query("BEGIN; UPDATE app.orders SET item = item");
    const running = [
      sqlstateOf(sleeping?.query("SELECT pg_sleep(60)") ?? Promise.resolve()),
      sqlstateOf(copying?.query("COPY app.orders FROM STDIN") ?? Promise.resolve()),
    ];
    const startedAt = performance.now();
    const report = await end(user);
    expect(performance.now() - startedAt).toBeLessThan(1000);
    await Promise.all([ended, ...running]);
    expect(report).toMatchObject({ closed: true, gone: true, obstacles: [] });
    await isGone(user);
    expect(await catalogue()).toEqual(before);
  });

  test("counts a user that is gone already, or never was, as ended", async () => {
    const user = await fixture.createUser("read-only");
    expect((await end(user)).gone).toBe(true);
    expect(await end(user)).toMatchObject({ gone: true, did: [] });
    expect((await end({ ...user, name: "jit_test_x_0000000000000", oid: 0 })).gone).toBe(true);
  });

  test("gets past a prepared transaction that holds the role's own row (invariant 29)", async () => {
    const user = await fixture.createUser("read-only");
    const client = await fixture.login(user);
    await client.query("BEGIN");
    await client.query("ALTER ROLE CURRENT_USER PASSWORD 'mine'");
    await client.query("PREPARE TRANSACTION 'hold'");
    const report = await end(user);
    expect(report).toMatchObject({ gone: true });
    expect(report.did).toContain("rolled back the prepared transaction 'hold'");
    await isGone(user);
  });

  test("rolls back a transaction that was prepared in another database, or as the group", async () => {
    const user = await fixture.createUser("read-only");
    const client = await fixture.login(user, "postgres");
    await client.query("BEGIN");
    await client.query("ALTER ROLE CURRENT_USER PASSWORD 'mine'");
    if (fixture.server.majorVersion < 16) {
      await client.query("SET ROLE jitdb_orders_read_only");
    }
    await client.query("PREPARE TRANSACTION 'elsewhere'");
    expect((await end(user)).gone).toBe(true);
    expect(await fixture.superuser("SELECT gid FROM pg_prepared_xacts")).toEqual([]);
  });

  test("drops what can act and hands tables to the keeper, without rights and triggers (invariants 33, 34)", async () => {
    const before = await catalogue();
    const user = await fixture.createUser("admin");
    const client = await fixture.login(user);
    for (const statement of leftoverStatements()) {
      await client.query(statement);
    }
    const [[object] = []] = await fixture.superuser(
      `SELECT oid::text FROM pg_largeobject_metadata WHERE lomowner = ${user.oid}`,
    );
    const report = await end(user);
    expect(report.obstacles).toEqual([]);
    await isGone(user);
    const kept = await fixture.superuser(keptSql);
    expect(kept).toEqual([
      ["S", "app.draft_id_seq", null],
      ["S", "app.numbers", null],
      ["large object", String(object), null],
      ["r", "app.draft", null],
      ["r", 'app.quoted"name; --', null],
      ["type", "app.mood", null],
    ]);
    expect(await fixture.superuser("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")).toEqual(
      [],
    );
    expect(await fixture.superuser("SELECT polname FROM pg_policy")).toEqual([]);
    expect(
      await fixture.superuser(
        "SELECT defaclacl FROM pg_default_acl d JOIN pg_roles r ON r.oid = d.defaclrole WHERE r.rolname LIKE 'jit%'",
      ),
    ).toEqual([]);
    expect(await fixture.superuser("SELECT count(*)::int FROM app.draft")).toEqual([[1]]);
    await fixture.superuser(`DROP TABLE app.draft, app."quoted""name; --"; DROP SEQUENCE app.numbers;
      DROP TYPE app.mood; SELECT lo_unlink(${object})`);
    expect(await catalogue()).toEqual(before);
  });

  test("drops tables where the profile says so", async () => {
    const admin = fixture.database.profiles.get("admin");
    if (admin === undefined) {
      throw new Error("The fixture has an admin profile.");
    }
    const executor = postgresEngine.createExecutor({
      ...fixture.database,
      profiles: new Map([["admin", { ...admin, leftovers: "drop" }]]),
    });
    const user = await fixture.createUser("admin");
    const client = await fixture.login(user);
    await client.query(
      "CREATE TABLE app.gone (id serial); CREATE VIEW app.view AS SELECT * FROM app.gone",
    );
    const { obstacles } = await endOf(fixture, user, executor);
    await executor.close();
    expect(obstacles).toEqual([]);
    await isGone(user);
    expect(
      await fixture.superuser("SELECT to_regclass('app.gone'), to_regclass('app.view')"),
    ).toEqual([[null, null]]);
  });

  test("runs no code of the user (invariant 34)", async () => {
    const user = await fixture.createUser("admin");
    const client = await fixture.login(user);
    await client.query(`CREATE TABLE app.trapped (who text);
      CREATE FUNCTION app.spring() RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO app.trapped VALUES (current_user); RETURN current_user; END $$;
      CREATE FUNCTION app.eq(name, text) RETURNS bool LANGUAGE sql AS $$ SELECT app.spring() IS NOT NULL $$;
      CREATE FUNCTION app.eq(oid, oid) RETURNS bool LANGUAGE sql AS $$ SELECT app.spring() IS NOT NULL $$;
      CREATE OPERATOR app.= (FUNCTION = app.eq, LEFTARG = name, RIGHTARG = text);
      CREATE FUNCTION app.pg_terminate_backend(int) RETURNS bool LANGUAGE sql AS $$ SELECT app.spring() IS NOT NULL $$;
      CREATE FUNCTION app.format(text, name) RETURNS text LANGUAGE sql AS $$ SELECT app.spring() $$;
      CREATE TABLE app.armed (id int DEFAULT 1, t text GENERATED ALWAYS AS ('x') STORED);
      CREATE FUNCTION app.fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM app.spring(); RETURN NEW; END $$;
      CREATE TRIGGER armed BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON app.armed EXECUTE FUNCTION app.fire();
      CREATE RULE armed AS ON UPDATE TO app.armed DO ALSO SELECT app.spring()`);
    await fixture.superuser("ALTER ROLE jitdb_admin SET search_path = app, public");
    const report = await end(user);
    await fixture.superuser("ALTER ROLE jitdb_admin RESET search_path");
    expect(report.obstacles).toEqual([]);
    expect(await fixture.superuser("SELECT who FROM app.trapped")).toEqual([]);
    await fixture.superuser("DROP TABLE app.trapped, app.armed");
  });

  test("takes its trigger off somebody else's table with the function of it", async () => {
    const user = await fixture.createUser("admin");
    await fixture.superuser(`GRANT TRIGGER ON app.orders TO "${user.name}"`);
    const client = await fixture.login(user);
    await client.query(`CREATE FUNCTION app.act() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RETURN NEW; END $$;
      CREATE TRIGGER act BEFORE INSERT ON app.orders EXECUTE FUNCTION app.act()`);
    await fixture.superuser(`REVOKE TRIGGER ON app.orders FROM "${user.name}"`);
    expect((await end(user)).obstacles).toEqual([]);
    expect(await fixture.superuser("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal")).toEqual(
      [],
    );
  });

  test("leaves a stranger's dependents to a person, with the SQL that resolves it (invariant 34)", async () => {
    const user = await fixture.createUser("admin");
    const client = await fixture.login(user);
    await client.query(`CREATE FUNCTION app.price() RETURNS int LANGUAGE sql AS 'SELECT 1';
      CREATE FUNCTION app.other() RETURNS int LANGUAGE sql AS 'SELECT 1'`);
    await fixture.superuser("SET ROLE shop; CREATE VIEW app.prices AS SELECT app.price()");
    const report = await end(user);
    expect(report).toMatchObject({ closed: true, gone: false });
    expect(report.did).toContain("dropped the function app.other()");
    expect(report.obstacles[0]?.message).toContain(
      "view app.prices depends on function app.price()",
    );
    await expect(fixture.login(user)).rejects.toThrow();
    expect(await fixture.superuser("SELECT to_regclass('app.prices') IS NOT NULL")).toEqual([
      [true],
    ]);
    await runRemedy(fixture, report.obstacles, user);
    expect((await end(user)).gone).toBe(true);
    await isGone(user);
  });

  test("leaves privileges that somebody else gave the user to a person, with the SQL", async () => {
    const user = await fixture.createUser("read-only");
    await fixture.superuser(`SET ROLE shop; GRANT SELECT ON app.secrets TO "${user.name}"`);
    const report = await end(user);
    expect(report).toMatchObject({ closed: true, gone: false });
    await runRemedy(fixture, report.obstacles, user);
    await isGone(user);
  });

  test("is not stopped by a lock on one table, and names it", async () => {
    const user = await fixture.createUser("admin");
    const client = await fixture.login(user);
    await client.query(`CREATE TABLE app.held (id int); CREATE TABLE app.free (id int);
      GRANT SELECT ON app.held TO PUBLIC`);
    const stranger = await fixture.superuserClient();
    await stranger.query("BEGIN; LOCK TABLE app.held IN ACCESS SHARE MODE");
    const report = await end(user);
    expect(report).toMatchObject({ closed: true, gone: false });
    expect(report.did).toContain("handed the table app.free to jitdb_keeper");
    expect(report.obstacles[0]?.message).toMatch(/app.held .*holds a lock on it/);
    await stranger.query("COMMIT");
    expect((await end(user)).gone).toBe(true);
    await fixture.superuser("DROP TABLE app.held, app.free");
  });

  test("hands over a table in a schema where the keeper may not create, with the SQL of a person", async () => {
    await fixture.superuser("CREATE SCHEMA side; GRANT ALL ON SCHEMA side TO jitdb_orders_admin");
    const user = await fixture.createUser("admin");
    const client = await fixture.login(user);
    await client.query("CREATE TABLE side.left (id int); GRANT ALL ON side.left TO PUBLIC");
    const report = await end(user);
    expect(report.gone).toBe(false);
    await runRemedy(fixture, report.obstacles, user);
    await isGone(user);
    expect(
      await fixture.superuser(
        "SELECT relowner::regrole::text, relacl FROM pg_class WHERE relname = 'left'",
      ),
    ).toEqual([["jitdb_keeper", expect.anything()]]);
    await fixture.superuser("DROP SCHEMA side CASCADE");
  });

  test("cleans up in every database of the cluster", async () => {
    await fixture.superuser("CREATE DATABASE other", "postgres");
    await fixture.superuser(
      "GRANT CREATE ON SCHEMA public TO jitdb_orders_admin, jitdb_keeper",
      "other",
    );
    const user = await fixture.createUser("admin");
    const client = await fixture.login(user, "other");
    await client.query(
      "CREATE TABLE public.t (id int); CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    );
    expect((await end(user)).obstacles).toEqual([]);
    expect(await fixture.superuser("SELECT to_regproc('public.f')::text", "other")).toEqual([
      [null],
    ]);
    await isGone(user);
  });
});

function whenEnded(client: pg.Client | undefined): Promise<void> {
  return new Promise((resolve) => client?.once("end", () => resolve()));
}

/** One of every kind of thing that an admin profile can leave. */
function leftoverStatements(): readonly string[] {
  return [
    "CREATE TYPE app.mood AS ENUM ('sad', 'happy')",
    "CREATE TYPE app.unused AS (a int, b text)",
    "CREATE DOMAIN app.positive AS int CHECK (VALUE > 0)",
    "CREATE FUNCTION app.double(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'",
    "CREATE TABLE app.draft (id serial PRIMARY KEY, mood app.mood DEFAULT 'sad', n int DEFAULT app.double(1))",
    "INSERT INTO app.draft DEFAULT VALUES",
    "CREATE INDEX ON app.draft (app.double(n))",
    "CREATE STATISTICS app.stats ON id, n FROM app.draft",
    'CREATE TABLE app."quoted""name; --" (id int)',
    "CREATE SEQUENCE app.numbers",
    "CREATE VIEW app.seen AS SELECT * FROM app.orders",
    "GRANT SELECT ON app.seen TO PUBLIC",
    "CREATE MATERIALIZED VIEW app.counted AS SELECT count(*) FROM app.orders",
    "CREATE FUNCTION app.backdoor() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT item FROM app.orders LIMIT 1'",
    "CREATE PROCEDURE app.proc() LANGUAGE sql AS 'SELECT 1'",
    "CREATE AGGREGATE app.agg(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')",
    "CREATE FUNCTION app.trig() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "CREATE TRIGGER own BEFORE INSERT ON app.draft FOR EACH ROW EXECUTE FUNCTION app.trig()",
    "CREATE TRIGGER builtin BEFORE UPDATE ON app.draft FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "CREATE RULE ruled AS ON DELETE TO app.draft DO ALSO NOTHING",
    "ALTER TABLE app.draft ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY everybody ON app.draft USING (true)",
    "GRANT ALL ON app.draft TO PUBLIC",
    "GRANT SELECT (id) ON app.draft TO jitdb_orders_read_only",
    "CREATE OPERATOR app.### (FUNCTION = app.double, RIGHTARG = int)",
    'CREATE COLLATION app.coll FROM "C"',
    "CREATE TEXT SEARCH CONFIGURATION app.search (COPY = pg_catalog.simple)",
    "SELECT lo_from_bytea(0, 'secret')",
    "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
    "ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT ALL ON FUNCTIONS TO jitdb_orders_read_only",
    "ALTER ROLE CURRENT_USER SET search_path = app",
    "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
  ];
}

const keptSql = `
SELECT 'large object', m.oid::text, (SELECT string_agg(a.grantee::regrole::text, ',') FROM aclexplode(m.lomacl) a WHERE a.grantee <> m.lomowner)
FROM pg_largeobject_metadata m WHERE m.lomowner = 'jitdb_keeper'::regrole
UNION ALL
SELECT c.relkind::text, 'app.' || c.relname, (SELECT string_agg(a.grantee::text, ',') FROM aclexplode(c.relacl) a WHERE a.grantee <> c.relowner)
FROM pg_class c WHERE c.relowner = 'jitdb_keeper'::regrole AND c.relkind IN ('r', 'S', 'v', 'm')
UNION ALL
SELECT 'type', 'app.' || t.typname, NULL FROM pg_type t WHERE t.typowner = 'jitdb_keeper'::regrole AND t.typtype IN ('e', 'd')
ORDER BY 1, 2`;
