// Raw sessions that speak the simple query protocol.

import { encodeQuery } from "@jitdb/shared/postgres/encoder";
import type { Script } from "../script.ts";
import { ask, bytes, queries } from "./messages.ts";

export const simpleQueryScripts: readonly Script[] = [
  {
    name: "greets, with settings in the start-up packet and in its options",
    speaks: "raw",
    async run(world) {
      const session = await world.open({
        application_name: "the bench",
        client_encoding: "LATIN1",
        DateStyle: "German, DMY",
        TimeZone: "Asia/Kathmandu",
        options: "-c work_mem=3MB --statement-timeout=90s -csearch_path=app,\\ pg_catalog",
        "my.own": "value",
      });
      await ask(
        session,
        "SHOW work_mem; SHOW statement_timeout; SHOW search_path; SHOW my.own",
        "SELECT timestamptz '2026-05-06 07:08:09Z', 'ä' || chr(228)",
        "SELECT name, setting FROM pg_settings WHERE source IN ('client', 'session') ORDER BY 1",
      );
      await session.end();
    },
  },
  {
    name: "answers values of all sorts, NULL, no rows, no columns and no text",
    speaks: "raw",
    run: queries(
      "SELECT 1, NULL, '', 'ä€𝄞', E'\\\\x', true, 1.50::numeric, '{1,NULL,3}'::int[], '\\x00ff'::bytea",
      "SELECT * FROM app.customers WHERE id < 4 ORDER BY id",
      "SELECT * FROM app.customers WHERE false",
      "SELECT FROM app.customers WHERE id < 3",
      "",
      ";",
      " -- nothing\n",
      "/* a comment */ SELECT $$;$$, E'it''s \\' so' AS \"q\"\"q\"",
    ),
  },
  {
    name: "is somebody, and may what the profile allows",
    speaks: "raw",
    run: queries(
      "SELECT current_user, session_user, current_database(), current_schemas(true)",
      "SELECT rolname, rolsuper, rolinherit, rolcanlogin, rolconnlimit FROM pg_roles WHERE rolname = current_user",
      "SELECT has_schema_privilege('app', 'CREATE'), has_table_privilege('app.orders', 'TRIGGER')",
      "SELECT * FROM pg_authid",
      "CREATE ROLE another",
      "COPY app.orders TO PROGRAM 'cat'",
    ),
  },
  {
    name: "runs several statements of one Query, as one transaction up to an error",
    speaks: "raw",
    run: queries(
      "SELECT 1; SELECT 'two'; SELECT 3;;",
      "INSERT INTO app.steps VALUES (1, 'kept'); SELECT count(*) FROM app.steps",
      "INSERT INTO app.steps VALUES (2, 'undone'); SELECT 1/0; SELECT 'never'",
      "BEGIN; INSERT INTO app.steps VALUES (3, 'kept'); COMMIT; SELECT nonsense",
      "SELECT 'fine'; SELEC 'not'",
      "SELECT * FROM app.steps ORDER BY id",
    ),
  },
  {
    name: "fails with every field of an error, and goes on",
    speaks: "raw",
    run: queries(
      "SELECT nothing FROM app.orders",
      "SELECT app.fail('on purpose')",
      "INSERT INTO app.orders (customer_id, item, cents) VALUES (99999, 'ghost', 5)",
      "INSERT INTO app.orders (customer_id, item, cents, placed_at) VALUES (1, 'free', 0, '2026-01-01')",
      "SELECT 'x'::int",
      "SELECT 1 +",
      "SELECT E'\\u0000'",
      bytes("SELECT '\xc3"),
      "DO $$ BEGIN EXECUTE 'SELECT 1/0'; END $$",
      "SELECT 'alive'",
    ),
  },
  {
    name: "says notices and warnings at the levels that are asked for",
    speaks: "raw",
    run: queries(
      "SELECT app.say('hello')",
      "COMMIT",
      "SET client_min_messages = error; SELECT app.say('unheard')",
      "SET client_min_messages = debug1; DROP TABLE IF EXISTS app.no_such_table; RESET client_min_messages",
      "BEGIN; BEGIN; ROLLBACK",
    ),
  },
  {
    name: "has transactions with savepoints, failed ones, deferred constraints and characteristics",
    speaks: "raw",
    run: queries(
      "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
      "SHOW transaction_isolation",
      "INSERT INTO app.steps VALUES (9)",
      "SELECT 'refused'",
      "ROLLBACK",
      "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
      "CREATE TABLE app.impossible ()",
      "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
      "BEGIN",
      "SAVEPOINT one",
      "INSERT INTO app.steps VALUES (10, 'undone')",
      "ROLLBACK TO one",
      "INSERT INTO app.steps VALUES (11, 'kept')",
      "COMMIT AND CHAIN",
      "INSERT INTO app.steps VALUES (11, 'twice')",
      "COMMIT",
      "SELECT * FROM app.steps ORDER BY id",
      "START TRANSACTION; SELECT 1/0",
      "COMMIT",
    ),
  },
  {
    name: "tells changed settings, and resets them",
    speaks: "raw",
    run: queries(
      "SET application_name = 'renamed'",
      "SET DateStyle = 'SQL, MDY'; SELECT date '2026-12-31'",
      "SET standard_conforming_strings = off; SELECT 'a\\'b'",
      "SET TimeZone = 'America/Caracas'",
      "SET IntervalStyle = iso_8601; SELECT interval '1 day 2 hours'",
      "SET search_path = app; SELECT count(*) FROM steps",
      "BEGIN; SET LOCAL application_name = 'for now'; ROLLBACK",
      "SET no_such_setting = 1",
      "SET log_statement = 'none'",
      "SET SESSION AUTHORIZATION postgres",
      "SELECT set_config('my.own', 'thing', false); SHOW my.own",
      "DISCARD ALL",
      "SHOW application_name",
    ),
  },
  {
    name: "converts encodings, also ones in which a backslash is half a character",
    speaks: "raw",
    run: queries(
      "SET client_encoding = LATIN1",
      Buffer.from("SELECT 'h\xe4tte', chr(233)", "latin1"),
      "SELECT '€', chr(8364)",
      "SET client_encoding = SJIS",
      Buffer.concat([bytes("SELECT '"), Buffer.from([0x95, 0x5c, 0x8d, 0x86]), bytes("' AS sjis")]),
      Buffer.concat([bytes("SELECT E'"), Buffer.from([0x95, 0x5c]), bytes("''), 1'")]),
      "SET client_encoding = UTF8",
      "SET client_encoding = 'nonsense'",
    ),
  },
  {
    name: "reads cursors forwards and backwards, and those that outlive their transaction",
    speaks: "raw",
    run: queries(
      "BEGIN; DECLARE c SCROLL CURSOR FOR SELECT id, city FROM app.customers ORDER BY id",
      "FETCH 2 FROM c; FETCH RELATIVE 3 FROM c; FETCH BACKWARD 2 FROM c; MOVE LAST IN c; FETCH PRIOR FROM c",
      "DECLARE held CURSOR WITH HOLD FOR SELECT generate_series(1, 5)",
      "CLOSE c; COMMIT",
      "FETCH 2 FROM held",
      "FETCH ALL FROM c",
      "CLOSE ALL",
      "FETCH held",
    ),
  },
  {
    name: "prepares in SQL, and runs, describes and forgets what it prepared",
    speaks: "raw",
    run: queries(
      "PREPARE mine (int, text) AS SELECT $1 * 2, upper($2)",
      "EXECUTE mine (21, 'loud')",
      "EXECUTE mine ('x', NULL)",
      "SELECT name, statement, parameter_types::text FROM pg_prepared_statements",
      "DEALLOCATE mine",
      "EXECUTE mine (1, 'gone')",
    ),
  },
  {
    name: "makes temporary and lasting things, and gives rights on them",
    speaks: "raw",
    run: queries(
      "CREATE TEMP TABLE short (a int) ON COMMIT DROP",
      "CREATE TEMP TABLE longer AS SELECT generate_series(1, 3) AS n; SELECT sum(n) FROM longer",
      "CREATE TABLE app.made (id serial PRIMARY KEY, body text DEFAULT 'x', UNIQUE (body, id))",
      "INSERT INTO app.made (body) VALUES ('a'), ('b') RETURNING *",
      "CREATE VIEW app.seen AS SELECT body FROM app.made; GRANT SELECT ON app.seen TO PUBLIC",
      "COMMENT ON TABLE app.made IS 'made by the bench'",
      "CREATE FUNCTION app.twice(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN $1 * 2",
      "CREATE INDEX ON app.made (app.twice(id)); ALTER TABLE app.made ADD CHECK (id > 0)",
      "UPDATE app.made SET body = 'c' WHERE id = 1; DELETE FROM app.made WHERE id = 2",
      "MERGE INTO app.made m USING (VALUES (1, 'd'), (7, 'e')) v (id, body) ON m.id = v.id WHEN MATCHED THEN UPDATE SET body = v.body WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.body)",
      "DROP TABLE app.made",
      "DROP TABLE app.made CASCADE",
    ),
  },
  {
    name: "prepares transactions that outlive the session",
    speaks: "raw",
    async run(world) {
      const first = await world.open();
      await ask(
        first,
        "BEGIN; INSERT INTO app.steps VALUES (30, 'two-phase'); PREPARE TRANSACTION 'first'",
        "BEGIN; INSERT INTO app.steps VALUES (31, 'undone'); PREPARE TRANSACTION 'second'",
        "SELECT gid, owner, database FROM pg_prepared_xacts ORDER BY 1",
      );
      await first.end();
      const second = await world.open();
      await ask(
        second,
        "COMMIT PREPARED 'first'",
        "ROLLBACK PREPARED 'second'",
        "COMMIT PREPARED 'third'",
      );
      await second.end();
    },
  },
  {
    name: "carries large rows, many rows and a long statement whole",
    speaks: "raw",
    run: queries(
      "SELECT repeat('0123456789', 300000)",
      "SELECT n, md5(n::text) FROM generate_series(1, 20000) AS n",
      `SELECT length('${"a long text ".repeat(40_000)}')`,
      "SELECT string_agg(n::text, ',') FROM generate_series(1, 500000) AS n",
    ),
  },
  {
    name: "sends several Queries before it reads, and one of them fails",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      await session.ask(
        encodeQuery("SELECT 1"),
        encodeQuery("BEGIN; SELECT 1/0"),
        encodeQuery("SELECT 'in the failed transaction'"),
        encodeQuery("ROLLBACK; SELECT 4"),
      );
      await session.end();
    },
  },
  {
    name: "says things that the audit masks",
    speaks: "raw",
    run: queries(
      "ALTER ROLE nobody PASSWORD 'a secret'",
      "CREATE USER MAPPING FOR CURRENT_USER SERVER nowhere OPTIONS (user 'u', password 'a secret')",
      "SELECT dblink_connect('host=localhost password=secret')",
    ),
  },
];
