// Raw sessions in the corners of the protocol: what SQL and messages make of each other, what comes in odd pieces, and what is
// large.

import {
  encodeCopyFail,
  encodeQuery,
  encodeSync,
  encodeTerminate,
} from "@jitdb/shared/postgres/encoder";
import { backendMessages } from "@jitdb/shared/postgres/messages";
import type { Script } from "../script.ts";
import {
  ask,
  bind,
  bytes,
  close,
  copyData,
  copyDone,
  describe,
  execute,
  flush,
  parse,
  pipelines,
  queries,
  run,
} from "./messages.ts";

const sync = encodeSync;
const query = encodeQuery;

export const cornerScripts: readonly Script[] = [
  {
    name: "binds and runs by messages what SQL prepared and declared, and the other way round",
    speaks: "raw",
    run: pipelines(
      [query("PREPARE by_sql (int) AS SELECT $1 + 1")],
      [describe("statement", "by_sql"), bind(["41"], { statement: "by_sql" }), execute(), sync()],
      [parse("SELECT $1::int * 2", "by_message"), sync()],
      [query("EXECUTE by_message (21)")],
      [query("BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 6)")],
      [describe("portal", "c"), execute("c", 2), execute("c", 1), sync()],
      [query("FETCH 1 FROM c; MOVE 1 IN c"), execute("c"), sync()],
      [parse("SELECT generate_series(1, 6)"), bind([], { portal: "p" }), execute("p", 2), sync()],
      [query("FETCH 2 FROM p; CLOSE p")],
      [execute("p"), sync()],
      [query("ROLLBACK; DEALLOCATE by_message")],
      [bind(["1"], { statement: "by_message" }), sync()],
      [query("DEALLOCATE ALL; PREPARE by_message AS SELECT 'another'")],
      [bind([], { statement: "by_message" }), execute(), sync()],
    ),
  },
  {
    name: "changes what a name means in DO blocks, which no message shows",
    speaks: "raw",
    run: pipelines(
      [parse("SELECT 'before'", "s"), sync()],
      [query("DO $$ BEGIN EXECUTE 'DEALLOCATE s'; EXECUTE 'PREPARE s AS SELECT 42'; END $$")],
      [bind([], { statement: "s" }), execute(), sync()],
      [...run("DO $$ BEGIN EXECUTE 'DEALLOCATE s'; END $$"), sync()],
      [bind([], { statement: "s" }), execute(), sync()],
    ),
  },
  {
    name: "copies as libpq does: with its Sync behind the Execute, before there is any data",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      await ask(session, "CREATE TEMP TABLE t (a int)");
      for (const end of [copyDone(), encodeCopyFail("no more"), copyData("x\n")]) {
        await session.send(
          parse("COPY t FROM STDIN"),
          bind(),
          describe("portal"),
          execute(),
          sync(),
        );
        await session.until(backendMessages.CopyInResponse);
        await session.send(copyData("1\n2\n"), end);
        await session.ask(sync());
      }
      await session.end();
    },
  },
  {
    name: "has procedures that commit, and blocks that roll back",
    speaks: "raw",
    run: queries(
      "CREATE PROCEDURE app.work() LANGUAGE plpgsql AS $$ BEGIN FOR n IN 90..94 LOOP INSERT INTO app.steps VALUES (n, 'by a procedure'); IF n % 2 = 0 THEN COMMIT; ELSE ROLLBACK; END IF; END LOOP; END $$",
      "CALL app.work()",
      "BEGIN; CALL app.work()",
      "ROLLBACK",
      "SELECT id FROM app.steps WHERE id >= 90 ORDER BY id",
      "DO $$ BEGIN RAISE WARNING 'half'; PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught'; END $$",
      "CREATE FUNCTION app.pair(OUT a int, OUT b text) LANGUAGE sql AS $$ SELECT 1, 'x' $$; SELECT * FROM app.pair(); SELECT app.pair()",
    ),
  },
  {
    name: "switches encoding inside a transaction that is rolled back, with names that are not ASCII",
    speaks: "raw",
    run: pipelines(
      [parse("SELECT 'ä'", "ä"), sync()],
      [query("BEGIN; SET client_encoding = LATIN1")],
      [bind([], { statement: "ä" }), execute(), sync()],
      [query("ROLLBACK")],
      [bind([], { statement: "ä" }), execute(), sync()],
      [query("SET client_encoding = LATIN1")],
      [
        parse(Buffer.from("SELECT '\xe4'", "latin1"), "plain"),
        bind([], { statement: "plain" }),
        execute(),
        sync(),
      ],
      [query("SET client_encoding = UTF8"), bind([], { statement: "plain" }), execute(), sync()],
    ),
  },
  {
    name: "sets and resets roles and everything else",
    speaks: "raw",
    run: queries(
      "SET ROLE NONE; SELECT current_user = session_user",
      "SET SESSION AUTHORIZATION DEFAULT",
      "SET ROLE postgres",
      "SET LOCAL work_mem = '2MB'",
      "SET work_mem = '2MB'; RESET ALL; SHOW work_mem",
      "SET TRANSACTION READ ONLY",
      "DISCARD TEMP; DISCARD PLANS; DISCARD SEQUENCES",
      "CHECKPOINT",
      "VACUUM (ANALYZE) app.steps",
      "SELECT pg_reload_conf()",
      "EXPLAIN (COSTS OFF) SELECT * FROM app.orders WHERE id = 5",
    ),
  },
  {
    name: "sends messages byte by byte, and several in pieces that end anywhere",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      const sent = Buffer.concat([
        query("SELECT 'in pieces'"),
        ...run("SELECT $1::text, 'ä€'", ["parameter"]),
        sync(),
        query("COPY (VALUES (1), (2)) TO STDOUT; SELECT 'end'"),
      ]);
      for (const byte of sent.subarray(0, 60)) {
        await session.send(Uint8Array.of(byte));
      }
      for (let at = 60; at < sent.length; at += 7) {
        await session.send(sent.subarray(at, at + 7));
      }
      for (let answers = 0; answers < 3; answers++) {
        await session.until(backendMessages.ReadyForQuery);
      }
      await session.end();
    },
  },
  {
    name: "carries long texts, many parameters, wide rows and long names of columns",
    speaks: "raw",
    run: pipelines(
      [query(`SELECT ${Array.from({ length: 1600 }, (_, n) => `${n} AS c${n}`).join(", ")}`)],
      [
        parse(`SELECT ${Array.from({ length: 1000 }, (_, n) => `$${n + 1}::int`).join(" + ")}`),
        bind(Array.from({ length: 1000 }, (_, n) => String(n))),
        execute(),
        sync(),
      ],
      [...run(`SELECT length('${"x".repeat(600_000)}')`), sync()],
      [
        parse(`SELECT $1::int /* ${"a comment ".repeat(50_000)} */`, "long"),
        describe("statement", "long"),
        sync(),
      ],
      [bind(["7"], { statement: "long" }), execute(), close("statement", "long"), sync()],
      [query(`SELECT 1 AS "${"n".repeat(200)}"`)],
      [query(`SELECT '${"broken ".repeat(60_000)}`)],
      [query("SELECT 'alive'")],
    ),
  },
  {
    name: "is cancelled in the middle of a COPY and of many rows",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      for (const sql of [
        "COPY (SELECT pg_sleep(60), 'a copy') TO STDOUT",
        "SELECT pg_sleep(CASE n WHEN 2 THEN 60 ELSE 0 END), 'many rows' FROM generate_series(1, 3) AS n",
      ]) {
        await session.send(query(sql));
        await world.until(
          "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')",
        );
        await world.cancel(session);
        await session.until(backendMessages.ReadyForQuery);
      }
      await session.end();
    },
  },
  {
    name: "says goodbye with bytes behind it, and while it copies",
    speaks: "raw",
    async run(world) {
      const first = await world.open();
      await first.send(query("SELECT 1"), encodeTerminate(), query("SELECT 'unread'"));
      await first.untilClosed();
      const second = await world.open();
      await ask(second, "CREATE TEMP TABLE t (a int)");
      await second.send(query("COPY t FROM STDIN"));
      await second.until(backendMessages.CopyInResponse);
      await second.send(copyData("1\n"), encodeTerminate());
      await second.untilClosed();
    },
  },
  {
    name: "describes statements of every command, and what has no result",
    speaks: "raw",
    run: pipelines(
      ...[
        "SELECT 1 AS a, 'x'::text AS b",
        "INSERT INTO app.steps VALUES (200) RETURNING *",
        "UPDATE app.steps SET body = $1",
        "SHOW work_mem",
        "EXPLAIN SELECT 1",
        "VALUES (1, $1::text)",
        "FETCH 1 FROM nobody",
        "CREATE TABLE app.never ()",
        "BEGIN",
        "CALL app.nothing()",
        "",
      ].map((text) => [
        parse(text, "s"),
        describe("statement", "s"),
        flush(),
        close("statement", "s"),
        sync(),
      ]),
    ),
  },
  {
    name: "uses large objects from SQL, and sends and gets binary values",
    speaks: "raw",
    run: pipelines(
      [query("SELECT lo_from_bytea(99002, decode('0001ff', 'hex'))")],
      [
        parse("SELECT lo_get(99002), lo_get(99002, 1, 1)"),
        bind([], { results: [1] }),
        execute(),
        sync(),
      ],
      [query("SELECT lo_put(99002, 3, 'more'); SELECT lo_unlink(99002)")],
      [...run("SELECT lo_get(99002)"), sync()],
      [
        parse("SELECT $1::bytea || $2"),
        bind([bytes("\0a"), bytes("b\0")], { formats: [1], results: [1] }),
        execute(),
        sync(),
      ],
    ),
  },
];
