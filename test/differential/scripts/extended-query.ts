// Raw sessions that speak the extended query protocol: what client libraries do, and what they never would.

import {
  encodeCopyFail,
  encodeQuery,
  encodeSync,
  encodeTerminate,
} from "@jitdb/shared/postgres/encoder";
import { backendMessages } from "@jitdb/shared/postgres/messages";
import type { Script } from "../script.ts";
import {
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
  run,
} from "./messages.ts";

const sync = encodeSync;
const query = encodeQuery;

/** Types that the tests name by OID. */
const types = { bool: 16, int8: 20, int4: 23, text: 25, bytea: 17 };

export const extendedQueryScripts: readonly Script[] = [
  {
    name: "describes statements and portals, and binds parameters of all sorts",
    speaks: "raw",
    run: pipelines(
      [parse("SELECT $1::int + 1, $2 || 'x', $3::bytea", "s"), describe("statement", "s"), sync()],
      [bind(["41", "ä€", null], { statement: "s" }), describe("portal"), execute(), sync()],
      [
        bind(["41", "", "\\x00ff"], { statement: "s", results: [1] }),
        describe("portal"),
        execute(),
        sync(),
      ],
      [parse("SELECT $1", "typed", [types.bool]), describe("statement", "typed"), sync()],
      [
        parse("INSERT INTO app.steps VALUES ($1, $2)", "none"),
        describe("statement", "none"),
        sync(),
      ],
      [
        parse("SELECT ARRAY['glad'::app.mood], o FROM app.orders o WHERE id = $1", "own"),
        describe("statement", "own"),
        sync(),
      ],
      [parse("SELECT $1::app.mood"), describe("statement"), bind(["sad"]), execute(), sync()],
    ),
  },
  {
    name: "binds binary parameters and asks for binary results, column by column",
    speaks: "raw",
    run: pipelines(
      [
        parse("SELECT $1::int, $2::bigint, $3::text, $4::bytea, $5::smallint, $6::boolean"),
        bind(
          [
            Buffer.from([0, 0, 0, 42]),
            Buffer.from([255, 255, 255, 255, 255, 255, 255, 254]),
            "text",
            Buffer.from([0, 1, 255]),
            Buffer.from([255, 255]),
            Buffer.from([1]),
          ],
          { formats: [1, 1, 0, 1, 1, 1], results: [1, 0, 1, 0, 0, 1] },
        ),
        describe("portal"),
        execute(),
        sync(),
      ],
      [
        parse("SELECT $1::int, $2::int"),
        bind([Buffer.from([0, 0, 0, 1]), Buffer.from([0, 0, 0, 2])], {
          formats: [1],
          results: [1],
        }),
        execute(),
        sync(),
      ],
      [parse("SELECT $1::int"), bind([Buffer.from([1, 2])], { formats: [1] }), execute(), sync()],
      [parse("SELECT $1::int"), bind(["1"], { formats: [7] }), execute(), sync()],
      [parse("SELECT $1::int, $2::int"), bind(["1"]), execute(), sync()],
      [parse("SELECT 1"), bind([], { results: [1, 1] }), execute(), sync()],
    ),
  },
  {
    name: "reads portals in pieces, until they are empty and beyond",
    speaks: "raw",
    run: pipelines(
      [
        parse("SELECT generate_series(1, $1::int)"),
        bind(["7"], { portal: "p" }),
        execute("p", 3),
        execute("p", 3),
        execute("p", 3),
        execute("p", 3),
        sync(),
      ],
      [query("BEGIN")],
      [
        parse("SELECT generate_series(1, 5)", "s"),
        bind([], { portal: "q", statement: "s" }),
        execute("q", 2),
        sync(),
      ],
      [execute("q", 1), flush(), describe("portal", "q"), sync()],
      [query("FETCH 1 FROM q"), execute("q"), close("portal", "q"), sync()],
      [query("SELECT name, statement FROM pg_cursors ORDER BY 1")],
      [query("COMMIT")],
      [execute("q"), sync()],
      [
        parse("INSERT INTO app.steps SELECT 40 + n FROM generate_series(1, 3) AS n RETURNING id"),
        bind(),
        execute("", 2),
        execute("", 2),
        sync(),
      ],
    ),
  },
  {
    name: "closes what is there and what is not, and uses what is gone",
    speaks: "raw",
    run: pipelines(
      [close("statement", "nobody"), close("portal", "nobody"), sync()],
      [parse("SELECT 1", "s"), close("statement", "s"), bind([], { statement: "s" }), sync()],
      [parse("SELECT 1", "s"), parse("SELECT 2", "s"), sync()],
      [parse("SELECT 3", "twice"), sync()],
      [parse("SELECT 4", "twice"), sync()],
      [
        bind([], { statement: "twice", portal: "p" }),
        bind([], { statement: "twice", portal: "p" }),
        sync(),
      ],
      [describe("statement", "nobody"), sync()],
      [describe("portal", "nobody"), sync()],
      [execute("nobody"), sync()],
      [bind([], { statement: "twice" }), execute(), sync()],
    ),
  },
  {
    name: "pipelines statements, with and without a Sync between them",
    speaks: "raw",
    run: pipelines(
      [...run("SELECT 1"), ...run("SELECT $1", ["two"]), ...run("SELECT 3"), sync()],
      [...run("SELECT 1"), sync(), ...run("SELECT 2"), sync(), sync(), query("SELECT 3")],
      [
        ...run("INSERT INTO app.steps VALUES (50, 'implicit transaction')"),
        ...run("SELECT 1/$1::int", ["0"]),
        ...run("INSERT INTO app.steps VALUES (51, 'skipped')"),
        sync(),
        ...run("SELECT count(*) FROM app.steps WHERE id IN (50, 51)"),
        sync(),
      ],
      [
        ...run("BEGIN"),
        ...run("INSERT INTO app.steps VALUES (52, 'kept')"),
        ...run("COMMIT"),
        sync(),
      ],
      [
        ...run("BEGIN"),
        ...run("SELECT 1/0"),
        sync(),
        ...run("SELECT 'refused'"),
        sync(),
        ...run("ROLLBACK"),
        sync(),
      ],
      [...run("INSERT INTO app.steps VALUES (52, 'twice, and that is seen at the Sync')"), sync()],
    ),
  },
  {
    name: "fails in the middle of a pipeline, where a name keeps its old meaning",
    speaks: "raw",
    run: pipelines(
      [parse("SELECT 'first', $1::text", "s1"), sync()],
      [
        parse("SELEC nothing", "bad"),
        close("statement", "s1"),
        parse("SELECT 'harmless'", "s1"),
        sync(),
      ],
      [bind(["still the first"], { statement: "s1" }), execute(), sync()],
      [
        bind(["one"], { statement: "s1" }),
        execute(),
        parse("", "empty"),
        bind(),

        sync(),
      ],
      [parse("SELECT 1; SELECT 2"), sync()],
      [
        ...run("SELECT app.fail('in a function')"),
        ...run("SELECT 'skipped'"),
        flush(),
        close("statement", "s1"),
        sync(),
      ],
      [bind(["there"], { statement: "s1" }), execute(), sync()],
    ),
  },
  {
    name: "has a Query skipped behind an error of the extended protocol",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      await session.send(
        execute("nobody"),
        query("INSERT INTO app.steps VALUES (53, 'skipped')"),
        sync(),
      );
      await session.until(backendMessages.ReadyForQuery);
      await session.ask(query("SELECT count(*) FROM app.steps WHERE id = 53"));
      await session.end();
    },
  },
  {
    name: "gets what it has asked for at a Flush, before any Sync",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      await session.send(
        parse("SELECT generate_series(1, 4)", "s"),
        describe("statement", "s"),
        flush(),
      );
      await session.until(backendMessages.RowDescription);
      await session.send(bind([], { statement: "s" }), execute("", 2), flush());
      await session.until(backendMessages.PortalSuspended);
      await session.send(execute("", 9), flush());
      await session.until(backendMessages.CommandComplete);
      await session.send(parse("SELECT nothing"), flush());
      await session.until(backendMessages.ErrorResponse);
      await session.send(parse("SELECT 'skipped'"), flush(), sync());
      await session.until(backendMessages.ReadyForQuery);
      await session.end();
    },
  },
  {
    name: "runs nothing, comments, SQL's own EXECUTE and statements without results",
    speaks: "raw",
    run: pipelines(
      [...run(""), sync()],
      [...run("-- nothing"), sync()],
      [
        ...run("PREPARE p AS SELECT 'prepared', $1::int"),
        ...run("EXECUTE p (5)"),
        ...run("DEALLOCATE p"),
        sync(),
      ],
      [...run("SET application_name = 'extended'"), ...run("SHOW application_name"), sync()],
      [...run("CREATE TEMP TABLE t (a int)"), ...run("INSERT INTO t VALUES ($1)", ["1"]), sync()],
      [...run("UPDATE t SET a = a + 1 RETURNING a"), ...run("DELETE FROM t"), sync()],
      [...run("LISTEN news"), ...run("NOTIFY news, 'x'"), sync()],
      [...run("SELECT app.say($1)", ["parameters"]), sync()],
      [...run("VACUUM app.steps"), sync()],
    ),
  },
  {
    name: "sees a prepared statement's plan change its result",
    speaks: "raw",
    run: pipelines(
      [query("CREATE TEMP TABLE t AS SELECT 1 AS a")],
      [parse("SELECT * FROM t", "s"), bind([], { statement: "s" }), execute(), sync()],
      [query("ALTER TABLE t ADD b int")],
      [bind([], { statement: "s" }), execute(), sync()],
      [query("DISCARD ALL")],
      [bind([], { statement: "s" }), execute(), sync()],
    ),
  },
  {
    name: "copies in the extended protocol, in and out, and fails there",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      await session.ask(query("CREATE TEMP TABLE t (a int)"));
      for (const messages of [
        [copyData("1\n2\n"), copyDone(), sync()],
        [copyData("3\n"), encodeCopyFail("no more"), sync()],
        [copyData("x\n"), copyDone(), sync()],
      ]) {
        await session.send(parse("COPY t FROM STDIN"), bind(), execute(), flush());
        await session.until(backendMessages.CopyInResponse);
        await session.ask(...messages);
      }
      await session.ask(...run("COPY t TO STDOUT"), sync());
      await session.end();
    },
  },
  {
    name: "names statements and portals with all that a name may hold",
    speaks: "raw",
    run: pipelines(
      [
        parse("SELECT 'spaces'", "a name; with 'quotes'"),
        bind([], { statement: "a name; with 'quotes'" }),
        execute(),
        sync(),
      ],
      [
        parse("SELECT 'umlaut'", "ä€"),
        bind([], { statement: "ä€", portal: "𝄞" }),
        execute("𝄞"),
        sync(),
      ],
      [parse("SELECT 'long'", "n".repeat(100)), sync()],
      [bind([], { statement: "n".repeat(100) }), execute(), sync()],
    ),
  },
  {
    name: "reads thousands of answers to one long pipeline",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      await session.ask(parse("SELECT $1::int, repeat('x', 100)", "s"), sync());
      const many = Array.from({ length: 2000 }, (_, n) => [
        bind([String(n)], { statement: "s" }),
        execute(),
      ]);
      await session.ask(...many.flat(), sync());
      await session.end();
    },
  },
  {
    name: "binds a value of a megabyte",
    speaks: "raw",
    run: pipelines([...run("SELECT length($1), md5($1)", ["0123456789".repeat(100_000)]), sync()]),
  },
  {
    name: "says goodbye behind statements that still have to run",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      await session.send(
        ...run("INSERT INTO app.steps VALUES (60, 'kept')"),
        sync(),
        query("SELECT pg_sleep(0.05); INSERT INTO app.steps VALUES (61, 'kept')"),
        encodeTerminate(),
      );
      await session.untilClosed();
    },
  },
  {
    name: "says goodbye in the middle of a transaction and of a pipeline",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      await session.ask(query("BEGIN; INSERT INTO app.steps VALUES (62, 'undone')"));
      await session.send(...run("INSERT INTO app.steps VALUES (63, 'undone')"), encodeTerminate());
      await session.untilClosed();
    },
  },
  {
    name: "sends a text that is no UTF-8, in a Parse and in a Bind",
    speaks: "raw",
    run: pipelines(
      [parse(Buffer.from("SELECT '\xff'", "latin1")), sync()],
      [parse("SELECT $1::text"), bind([Buffer.from([0xc3, 0x28])]), execute(), sync()],
      [parse("SELECT $1::text"), bind([Buffer.from("a\0b")]), execute(), sync()],
      [parse("SELECT $1::bytea"), bind([bytes("\\xzz")]), execute(), sync()],
    ),
  },
];
