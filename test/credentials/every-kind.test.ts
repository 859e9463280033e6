// Objects of every kind that a role without superuser's rights can make, in several databases, and what becomes of each.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testedVersions } from "../support/versions.ts";
import { catalogue, end, isGone } from "./ending.ts";
import { createFixture, type Fixture, type TestUser } from "./fixture.ts";

/** The second one's name is what nobody should paste into SQL. */
const databases = ["orders", 'Other" --'];

describe.each(testedVersions)("traces on the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await createFixture(version);
    await fixture.superuser('CREATE DATABASE "Other"" --"', "postgres");
    for (const database of databases) {
      const name = `"${database.replaceAll('"', '""')}"`;
      await fixture.superuser(
        `CREATE SCHEMA IF NOT EXISTS app;
        GRANT USAGE, CREATE ON SCHEMA app TO jitdb_orders_admin, jitdb_keeper;
        GRANT CREATE ON DATABASE ${name} TO jitdb_orders_admin, jitdb_keeper;
        CREATE EXTENSION postgres_fdw;
        GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO jitdb_orders_admin;
        CREATE SERVER shared FOREIGN DATA WRAPPER postgres_fdw;
        GRANT USAGE ON FOREIGN SERVER shared TO jitdb_orders_admin`,
        database,
      );
    }
  });
  afterAll(() => fixture.stop());

  async function leave(user: TestUser, statements: readonly string[]): Promise<void> {
    for (const database of databases) {
      const client = await fixture.login(user, database);
      for (const statement of statements) {
        await client.query(statement).catch((error: unknown) => {
          throw new Error(`${statement}: ${String(error)}`);
        });
      }
    }
  }

  test("of every kind are removed or the keeper's, in every database (invariants 33, 34)", async () => {
    const before = await catalogue(fixture, databases);
    const user = await fixture.createUser("admin");
    await leave(user, statements);
    const report = await end(fixture, user);
    expect(report.obstacles).toEqual([]);
    await isGone(fixture, user);
    const after = await catalogue(fixture, databases);
    expect(before.filter((line) => !after.includes(line))).toEqual([]);
    const kept = after.filter((line) => !before.includes(line) && !isDetail(line));
    for (const database of databases) {
      const prefix = `${database}: `;
      const lines = kept.filter((line) => line.startsWith(prefix));
      expect(lines.map((line) => line.slice(prefix.length))).toEqual(keptLines);
      expect(await fixture.superuser(keptRowsSql, database)).toEqual([["kept", 1, 1, "data"]]);
    }
  });
});

/** What goes with another line: members of the kept extension, types of tables, NOT NULL, numbers that differ from run to run. */
function isDetail(line: string): boolean {
  return (
    /hstore(?! jitdb_keeper)|tconvert|_not_null|pg_toast|large object|\[\]|pg_extension/.test(
      line,
    ) || /: type .*\b(child|data|Evil|pair|part|parted|serial|stored_hash|unlogged|t)\b/.test(line)
  );
}

/** All of it is the keeper's, nobody else has rights on it, and nothing of it acts. */
const keptLines = [
  "cast app.span app.spans",
  "collation coll jitdb_keeper",
  "comment pg_class mine",
  "constraint data_pkey app.data",
  "constraint serial_data_fkey app.serial",
  "constraint serial_pkey app.serial",
  "constraint small_check -",
  "extension hstore jitdb_keeper",
  'relation "shut""; --".t rjitdb_keeper',
  'relation app."Evil""; DROP ROLE jitdb_keeper; --" rjitdb_keeper',
  "relation app.child rjitdb_keeper",
  "relation app.data rjitdb_keeper{}",
  "relation app.data_id_seq Sjitdb_keeper",
  "relation app.data_pkey ijitdb_keeper",
  "relation app.numbers Sjitdb_keeper",
  "relation app.pair cjitdb_keeper",
  "relation app.part rjitdb_keeper",
  "relation app.parted pjitdb_keeper",
  "relation app.serial rjitdb_keeper{}",
  "relation app.serial_id_seq Sjitdb_keeper{}",
  "relation app.serial_pkey ijitdb_keeper",
  "relation app.stored_hash rjitdb_keeper",
  "relation app.unlogged rjitdb_keeper",
  "relation own.t rjitdb_keeper",
  "routine app.span(integer,integer) postgres",
  "routine app.span(integer,integer,text) postgres",
  "routine app.spans() postgres",
  "routine app.spans(app.span) postgres",
  "schema own jitdb_keeper{}",
  'schema shut"; -- jitdb_keeper{}',
  "type app.mood jitdb_keeper{}",
  "type app.small jitdb_keeper",
  "type app.span jitdb_keeper",
  "type app.spans jitdb_keeper",
];

const keptRowsSql = `
SELECT (SELECT name FROM app.data), (SELECT count(*)::int FROM app.parted),
  (SELECT count(*)::int FROM pg_largeobject_metadata WHERE lomowner = 'jitdb_keeper'::regrole),
  (SELECT convert_from(lo_get(oid), 'UTF8') FROM pg_largeobject_metadata)`;

/** In an order in which each can be made. */
const statements: readonly string[] = [
  // Data.
  "CREATE TYPE app.mood AS ENUM ('sad', 'happy')",
  "CREATE DOMAIN app.small AS int CHECK (VALUE < 100)",
  "CREATE TYPE app.span AS RANGE (SUBTYPE = int, MULTIRANGE_TYPE_NAME = app.spans)",
  "CREATE TYPE app.pair AS (a int, b text)",
  "CREATE TYPE app.unused AS (a int)",
  "CREATE TYPE app.unused_span AS RANGE (SUBTYPE = float8)",
  'CREATE COLLATION app.coll FROM "C"',
  'CREATE COLLATION app.unused_coll FROM "C"',
  "CREATE TABLE app.data (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood app.mood, small app.small, span app.span, pair app.pair, name text COLLATE app.coll)",
  "INSERT INTO app.data (mood, small, span, name) VALUES ('sad', 1, '[1,2)', 'kept')",
  "CREATE TABLE app.serial (id serial PRIMARY KEY, data int REFERENCES app.data)",
  "GRANT ALL ON SEQUENCE app.serial_id_seq TO PUBLIC",
  "CREATE TABLE app.parted (id int, at date) PARTITION BY RANGE (at)",
  "CREATE TABLE app.part PARTITION OF app.parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
  "INSERT INTO app.parted VALUES (1, '2026-05-05')",
  "CREATE TABLE app.child (more int) INHERITS (app.data)",
  "CREATE UNLOGGED TABLE app.unlogged (id int)",
  'CREATE TABLE app."Evil""; DROP ROLE jitdb_keeper; --" ("co""l; --" int)',
  "CREATE SEQUENCE app.numbers OWNED BY app.data.small",
  "CREATE TEMPORARY TABLE temporary (id int)",
  "SELECT lo_from_bytea(0, 'data')",
  "DO $$ BEGIN EXECUTE format('GRANT ALL ON LARGE OBJECT %s TO PUBLIC', (SELECT max(oid) FROM pg_largeobject_metadata)); END $$",
  // Code.
  "CREATE FUNCTION app.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'",
  "CREATE FUNCTION app.door() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'",
  `CREATE FUNCTION app."f""; --"("a""; --" int, OUT "o)" int) LANGUAGE sql AS 'SELECT 1'`,
  "CREATE FUNCTION app.variadic(VARIADIC a int[]) RETURNS int LANGUAGE sql AS 'SELECT 1'",
  "CREATE FUNCTION app.rows() RETURNS TABLE (a int) LANGUAGE sql AS 'SELECT 1'",
  "CREATE PROCEDURE app.does(IN int, OUT int) LANGUAGE sql AS 'SELECT 1'",
  "CREATE PROCEDURE app.does(IN int, IN int) LANGUAGE sql AS 'SELECT 1'",
  "CREATE AGGREGATE app.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')",
  "CREATE AGGREGATE app.counted(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0')",
  "CREATE AGGREGATE app.ordered(float8 ORDER BY float8) (SFUNC = float8pl, STYPE = float8)",
  "CREATE FUNCTION app.fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
  `CREATE TRIGGER "t""; --" BEFORE INSERT ON app.data FOR EACH ROW EXECUTE FUNCTION app.fire()`,
  "CREATE TRIGGER inherited AFTER INSERT ON app.parted FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
  `CREATE RULE "r""; --" AS ON DELETE TO app.data DO ALSO NOTHING`,
  `CREATE POLICY "p""; --" ON app.data USING (true)`,
  "ALTER TABLE app.data ENABLE ROW LEVEL SECURITY, ADD CHECK (app.twice(small) < 1000), ALTER small SET DEFAULT app.twice(3)",
  "CREATE INDEX ON app.data (app.twice(small))",
  "ALTER TABLE app.data ADD doubled int GENERATED ALWAYS AS (app.twice(id)) STORED",
  "ALTER DOMAIN app.small SET DEFAULT app.twice(2)",
  "ALTER DOMAIN app.small ADD CHECK (app.twice(VALUE) > 0)",
  "CREATE FUNCTION app.mood_less(app.mood, app.mood) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'",
  "CREATE OPERATOR app.<<< (FUNCTION = app.mood_less, LEFTARG = app.mood, RIGHTARG = app.mood, COMMUTATOR = OPERATOR(app.>>>))",
  "CREATE OPERATOR app.### (FUNCTION = app.twice, RIGHTARG = int)",
  "CREATE FUNCTION app.to_mood(int) RETURNS app.mood LANGUAGE sql IMMUTABLE AS $$ SELECT 'sad'::app.mood $$",
  "CREATE CAST (int AS app.mood) WITH FUNCTION app.to_mood(int) AS IMPLICIT",
  "CREATE CAST (app.mood AS text) WITH INOUT AS IMPLICIT",
  "CREATE VIEW app.seen AS SELECT id FROM app.data",
  "CREATE VIEW app.seen_again AS SELECT id FROM app.seen",
  "CREATE RECURSIVE VIEW app.looping (n) AS SELECT 1 UNION ALL SELECT n + 1 FROM looping WHERE n < 3",
  "GRANT SELECT ON app.seen TO PUBLIC",
  "CREATE MATERIALIZED VIEW app.stored AS SELECT count(*) FROM app.data",
  "CREATE STATISTICS app.stats ON id, small FROM app.data",
  "CREATE CONVERSION app.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8",
  "CREATE TEXT SEARCH DICTIONARY app.dict (TEMPLATE = pg_catalog.simple)",
  "CREATE TEXT SEARCH CONFIGURATION app.search (COPY = pg_catalog.simple)",
  "ALTER TEXT SEARCH CONFIGURATION app.search ALTER MAPPING FOR word WITH app.dict",
  "CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'evil')",
  "CREATE USER MAPPING FOR CURRENT_USER SERVER away OPTIONS (user 'x', password 'y')",
  "CREATE USER MAPPING FOR PUBLIC SERVER away",
  "CREATE USER MAPPING FOR CURRENT_USER SERVER shared OPTIONS (user 'x', password 'y')",
  "CREATE FOREIGN TABLE app.far (id int) SERVER away",
  "CREATE FOREIGN TABLE app.far_shared (id int) SERVER shared",
  "CREATE PUBLICATION feed FOR TABLE app.data",
  "CREATE EXTENSION pgcrypto SCHEMA app",
  "CREATE EXTENSION hstore SCHEMA app",
  "CREATE TABLE app.stored_hash (id int, h app.hstore)",
  // Schemas, one of them shut against their own owner.
  "CREATE SCHEMA own",
  "CREATE TABLE own.t (id int)",
  "CREATE FUNCTION own.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
  "GRANT ALL ON SCHEMA own TO PUBLIC",
  'CREATE SCHEMA "shut""; --"',
  'CREATE TABLE "shut""; --".t (id int)',
  `CREATE FUNCTION "shut""; --".f() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
  'REVOKE ALL ON SCHEMA "shut""; --" FROM CURRENT_USER',
  "CREATE SCHEMA empty",
  // What is no object.
  "GRANT ALL ON app.data, app.serial TO PUBLIC",
  "GRANT SELECT (id) ON app.data TO jitdb_orders_read_only WITH GRANT OPTION",
  "GRANT USAGE ON TYPE app.mood TO jitdb_orders_read_only",
  "COMMENT ON TABLE app.data IS 'mine'",
  "COMMENT ON FUNCTION app.door() IS 'mine'",
  "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
  "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC",
  "ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT ALL ON FUNCTIONS TO jitdb_orders_read_only",
  "ALTER ROLE CURRENT_USER SET search_path = app",
  "DO $$ BEGIN EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET work_mem = %L', current_database(), '1MB'); END $$",
];
