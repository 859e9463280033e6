// Raw sessions beyond queries: COPY, function calls, notifications, cancels, timeouts, deadlocks, ends, and protocol 3.2.

import { encodeCopyFail, encodeFunctionCall, encodeQuery } from "@jitdb/shared/postgres/encoder";
import { backendMessages } from "@jitdb/shared/postgres/messages";
import { protocolVersions } from "@jitdb/shared/postgres/startup";
import { int32 } from "@jitdb/shared/postgres/writer";
import type { Script } from "../script.ts";
import { ask, bytes, copyData, copyDone, queries } from "./messages.ts";

const { CopyInResponse, NotificationResponse } = backendMessages;

/** OIDs of the large object functions in pg_proc, the same in every PostgreSQL. */
const fastpath = {
  loCreate: 715,
  loOpen: 952,
  loRead: 954,
  loWrite: 955,
  loLseek: 956,
  loClose: 953,
  abs: 1397,
};

function call(functionOid: number, args: readonly (Uint8Array | null)[], format = 1): Uint8Array {
  return encodeFunctionCall({
    functionOid,
    argumentFormats: [format],
    arguments: args,
    resultFormat: format,
  });
}

const sleeps = (text: string) =>
  `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%${text}%')`;

const waitsFor = (text: string, longerThan: string) =>
  `SELECT EXISTS (SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
     WHERE NOT granted AND query LIKE '${text}%' AND clock_timestamp() - waitstart > '${longerThan}')`;

export const operationScripts: readonly Script[] = [
  {
    name: "runs statements in parallel workers, for longer than nobody looks for strangers in the database",
    speaks: "raw",
    run: queries(
      // One of the two is this version's.
      "SET force_parallel_mode = on",
      "SET debug_parallel_query = on",
      "SELECT pg_sleep(1.5), 'in a worker'",
    ),
  },
  {
    name: "copies in and out, in pieces, as text, csv and binary",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      await ask(session, "CREATE TEMP TABLE t (id int, body text)");
      await session.send(encodeQuery("COPY t FROM STDIN"));
      await session.until(CopyInResponse);
      await session.send(
        copyData("1\ton"),
        copyData("e\n2\t\\N\n3"),
        copyData(""),
        copyData("\tdrei €\n"),
      );
      await session.send(copyDone());
      await session.until(backendMessages.ReadyForQuery);
      await ask(
        session,
        "COPY t TO STDOUT",
        "COPY (SELECT * FROM t ORDER BY id DESC) TO STDOUT (FORMAT csv, HEADER, FORCE_QUOTE *)",
        "COPY t TO STDOUT (FORMAT binary)",
        "COPY t TO STDOUT; COPY t (body) TO STDOUT; SELECT count(*) FROM t",
      );
      await session.send(encodeQuery("COPY t FROM STDIN (FORMAT csv); SELECT count(*) FROM t"));
      await session.until(CopyInResponse);
      await session.ask(copyData('4,"quoted, ""so"""\n5,\n'), copyDone());
      await session.until(backendMessages.ReadyForQuery);
      await session.end();
    },
  },
  {
    name: "fails to copy: wrong data, the client's own failure, a missing table, too few columns",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      await ask(
        session,
        "CREATE TEMP TABLE t (id int PRIMARY KEY, body text)",
        "COPY nowhere FROM STDIN",
      );
      for (const [sql, ...messages] of [
        ["COPY t FROM STDIN", copyData("1\tgood\nx\tbad\n"), copyDone()],
        ["COPY t FROM STDIN", copyData("1\tgood\n"), encodeCopyFail("changed my mind")],
        ["COPY t FROM STDIN", copyData("1\n"), copyData("2\tlater\n"), copyDone()],
        ["COPY t FROM STDIN", copyData("1\ta\n1\tb\n"), copyDone()],
        ["COPY t FROM STDIN (FORMAT binary)", copyData("no signature"), copyDone()],
        ["COPY t FROM STDIN", copyData("5\tfine\n\\.\nignored"), copyDone()],
      ] as const) {
        await session.send(encodeQuery(sql));
        await session.until(CopyInResponse);
        await session.send(...messages);
        await session.until(backendMessages.ReadyForQuery);
      }
      await ask(session, "TABLE t");
      await session.end();
    },
  },
  {
    name: "calls functions without a text: large objects made, written, read, and calls that fail",
    speaks: "raw",
    async run(world) {
      const session = await world.open();
      await ask(session, "BEGIN");
      await session.ask(call(fastpath.loCreate, [int32(99_001)]));
      await session.ask(call(fastpath.loOpen, [int32(99_001), int32(0x60000)]));
      await session.ask(call(fastpath.loWrite, [int32(0), bytes("a large object")]));
      await session.ask(call(fastpath.loLseek, [int32(0), int32(2), int32(0)]));
      await session.ask(call(fastpath.loRead, [int32(0), int32(5)]));
      await session.ask(call(fastpath.loClose, [int32(0)]));
      await ask(session, "COMMIT", "SELECT convert_from(lo_get(99001), 'UTF8')");
      await session.ask(call(fastpath.abs, [bytes("-42")], 0));
      await session.ask(call(fastpath.abs, [null], 0));
      await session.ask(call(fastpath.abs, [bytes("many")], 0));
      await session.ask(call(4_000_000_000, []));
      await session.end();
    },
  },
  {
    name: "hears notifications of its own and of others, with true process ids",
    speaks: "raw",
    async run(world) {
      const [listener, notifier] = [await world.open(), await world.open()];
      await ask(listener, 'LISTEN news; LISTEN "Other"');
      await ask(listener, "NOTIFY news, 'from myself'");
      await ask(notifier, "BEGIN; NOTIFY news, 'ä€'; NOTIFY news, 'ä€'; NOTIFY \"Other\"; COMMIT");
      await listener.until(NotificationResponse);
      await listener.until(NotificationResponse);
      await ask(listener, "UNLISTEN *; SELECT count(*) FROM pg_listening_channels()");
      await ask(notifier, "SELECT pg_notify('news', 'unheard')");
      await Promise.all([listener.end(), notifier.end()]);
    },
  },
  {
    name: "is stopped by statement_timeout, lock_timeout and a cancel",
    speaks: "raw",
    async run(world) {
      const [session, other] = [await world.open(), await world.open()];
      await ask(
        session,
        // Long: on a busy machine a short time is over on one side before the row is described, and on the other after.
        "SET statement_timeout = 1000; SELECT pg_sleep(10)",
        "RESET statement_timeout",
      );
      await ask(other, "BEGIN; LOCK TABLE app.steps");
      await ask(
        session,
        "SET lock_timeout = 30",
        "SELECT * FROM app.steps",
        "SELECT 1 FOR UPDATE NOWAIT",
      );
      await ask(session, "SELECT FROM app.steps FOR UPDATE NOWAIT", "RESET lock_timeout");
      await ask(other, "ROLLBACK");
      await session.send(encodeQuery("SELECT pg_sleep(60), 'cancelled'"));
      await world.until(sleeps("cancelled"));
      await world.cancel(session);
      await session.until(backendMessages.ReadyForQuery);
      await ask(session, "SELECT 'alive'");
      await Promise.all([session.end(), other.end()]);
    },
  },
  {
    name: "meets a deadlock, of which the second one is the victim",
    speaks: "raw",
    async run(world) {
      const [first, second] = [await world.open(), await world.open()];
      await ask(first, "BEGIN; SELECT pg_advisory_xact_lock(1)");
      await ask(second, "BEGIN; SELECT pg_advisory_xact_lock(2)");
      await first.send(encodeQuery("SELECT pg_advisory_xact_lock(2) AS first"));
      // Past deadlock_timeout it does not look any more.
      await world.until(waitsFor("SELECT pg_advisory_xact_lock(2)", "200 ms"));
      await ask(second, "SELECT pg_advisory_xact_lock(1) AS second", "ROLLBACK");
      await first.until(backendMessages.ReadyForQuery);
      await Promise.all([first.end(), second.end()]);
    },
  },
  {
    name: "is ended by another of its own sessions, in the server's words",
    speaks: "raw",
    async run(world) {
      const [victim, other] = [await world.open(), await world.open({ application_name: "other" })];
      await ask(
        other,
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()",
      );
      await victim.untilClosed();
      await other.end();
    },
  },
  {
    name: "is ended by the server's timeouts for idle sessions",
    speaks: "raw",
    async run(world) {
      for (const sql of [
        "SET idle_in_transaction_session_timeout = 50; BEGIN",
        "SET idle_session_timeout = 50",
      ]) {
        const session = await world.open();
        await ask(session, sql);
        await session.untilClosed();
      }
    },
  },
];

/** For servers that know it; others negotiate (row 4). */
export const newestProtocolScripts: readonly Script[] = [
  {
    name: "speaks protocol 3.2, and cancels with its long key",
    speaks: "raw",
    async run(world) {
      const session = await world.open({}, protocolVersions.v3_2);
      await session.send(encodeQuery("SELECT pg_sleep(60), 'by a long key'"));
      await world.until(sleeps("by a long key"));
      await world.cancel(session);
      await session.until(backendMessages.ReadyForQuery);
      await session.end();
    },
  },
];
