// The thread that SQLite runs in: its fsync must not stop the relay. It answers one message after the other and knows
// nothing of the tables. Entry of a worker thread, a bundle of its own (dist/sqlite-worker.js); sqlite-thread.ts starts it.

import { parentPort } from "node:worker_threads";
import Sqlite from "better-sqlite3";

/** What the thread is asked; answered in the order of asking. It has one store open at a time. */
export type WorkerRequest =
  | {
      readonly kind: "open";
      /** Absolute path, or `:memory:`. */
      readonly file: string;
      readonly busyTimeoutMs: number;
    }
  | { readonly kind: "query"; readonly sql: string; readonly parameters: readonly unknown[] }
  | { readonly kind: "rollback" }
  | { readonly kind: "close" };

/** One answer for each request. */
export type WorkerAnswer =
  | { readonly kind: "rows"; readonly rows: readonly unknown[] }
  | { readonly kind: "changes"; readonly changes: number; readonly insertId: number }
  | { readonly kind: "done" }
  | { readonly kind: "error"; readonly message: string; readonly sqliteCode: string };

const port = parentPort;
if (port === null) {
  throw new Error("sqlite-worker is started as a worker thread only.");
}
let database: Sqlite.Database | undefined;
/** By their text: preparing one costs more than most of them take. */
const statements = new Map<string, Sqlite.Statement>();
/** Texts with lists come in many lengths. */
const maxStatements = 500;

port.on("message", (request: WorkerRequest) => port.postMessage(answering(() => handle(request))));

function open(file: string, busyTimeoutMs: number): WorkerAnswer {
  database = new Sqlite(file, { timeout: busyTimeoutMs });
  database.pragma("journal_mode = WAL");
  // The setting belongs to the connection, not to the file; NORMAL would lose commits at a power cut.
  database.pragma("synchronous = FULL");
  database.pragma("foreign_keys = ON");
  // In KiB. better-sqlite3 takes up to 16 MB; the system keeps the file in memory anyway, and nothing here reads it through.
  database.pragma("cache_size = -4096");
  return { kind: "done" };
}

function handle(request: WorkerRequest): WorkerAnswer {
  switch (request.kind) {
    case "open":
      return open(request.file, request.busyTimeoutMs);
    case "query":
      return query(opened(), request.sql, request.parameters);
    case "rollback":
      // A full disk rolls back by itself; a second rollback would hide the first error.
      if (opened().inTransaction) {
        opened().exec("rollback");
      }
      return { kind: "done" };
    case "close":
      statements.clear();
      opened().close();
      database = undefined;
      return { kind: "done" };
  }
}

function opened(): Sqlite.Database {
  if (database === undefined) {
    throw new Error("The store is not open.");
  }
  return database;
}

function query(open: Sqlite.Database, sql: string, parameters: readonly unknown[]): WorkerAnswer {
  const statement = prepared(open, sql);
  if (statement.reader) {
    return { kind: "rows", rows: statement.all(...parameters) };
  }
  const { changes, lastInsertRowid } = statement.run(...parameters);
  return { kind: "changes", changes, insertId: Number(lastInsertRowid) };
}

function prepared(open: Sqlite.Database, sql: string): Sqlite.Statement {
  const known = statements.get(sql);
  if (known !== undefined) {
    return known;
  }
  if (statements.size >= maxStatements) {
    statements.clear();
  }
  const statement = open.prepare(sql);
  statements.set(sql, statement);
  return statement;
}

/** Errors cross the thread as values: a structured clone of an Error loses SQLite's code. */
function answering(work: () => WorkerAnswer): WorkerAnswer {
  try {
    return work();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const sqliteCode = error instanceof Sqlite.SqliteError ? error.code : "";
    return { kind: "error", message, sqliteCode };
  }
}
