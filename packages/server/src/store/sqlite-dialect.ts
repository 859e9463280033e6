// Kysely's dialect for SQLite in its thread. One connection: the adapter makes Kysely queue everything that wants it,
// and a transaction keeps it to its end.

import {
  type CompiledQuery,
  type DatabaseConnection,
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  type QueryCompiler,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from "kysely";
import type { SqliteThread } from "./sqlite-thread.ts";

export class SqliteThreadDialect implements Dialect {
  readonly #thread: SqliteThread;

  constructor(thread: SqliteThread) {
    this.#thread = thread;
  }

  createDriver(): Driver {
    return new SqliteThreadDriver(this.#thread);
  }

  createQueryCompiler(): QueryCompiler {
    return new StableQueryCompiler();
  }

  createAdapter(): DialectAdapter {
    return new SqliteAdapter();
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new SqliteIntrospector(db);
  }
}

/**
 * SQLite plans a join again for each value of a bare parameter, in case statistics say that another plan suits that value (SQLITE_ENABLE_STAT4;
 * its `sqlite3_db_config` that turns this off is out of our reach). There are no statistics here, and planning takes ten times as long as finding a row.
 * The value of an expression is none that a plan may depend on.
 */
class StableQueryCompiler extends SqliteQueryCompiler {
  protected override getCurrentParameterPlaceholder(): string {
    return "+?";
  }
}

class SqliteThreadDriver implements Driver {
  readonly #thread: SqliteThread;
  readonly #connection: DatabaseConnection;

  constructor(thread: SqliteThread) {
    this.#thread = thread;
    this.#connection = new SqliteThreadConnection(thread);
  }

  async init(): Promise<void> {}

  async acquireConnection(): Promise<DatabaseConnection> {
    return this.#connection;
  }

  async releaseConnection(): Promise<void> {}

  async beginTransaction(): Promise<void> {
    // IMMEDIATE takes the write lock at once: no transaction reads first and finds later that it may not write.
    await this.#thread.ask({ kind: "query", sql: "begin immediate", parameters: [] });
  }

  async commitTransaction(): Promise<void> {
    await this.#thread.ask({ kind: "query", sql: "commit", parameters: [] });
  }

  async rollbackTransaction(): Promise<void> {
    await this.#thread.ask({ kind: "rollback" });
  }

  async destroy(): Promise<void> {
    await this.#thread.close();
  }
}

class SqliteThreadConnection implements DatabaseConnection {
  readonly #thread: SqliteThread;

  constructor(thread: SqliteThread) {
    this.#thread = thread;
  }

  async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
    const answer = await this.#thread.ask({ kind: "query", sql, parameters });
    switch (answer.kind) {
      case "rows":
        return { rows: answer.rows as R[] };
      case "changes":
        return {
          rows: [],
          numAffectedRows: BigInt(answer.changes),
          insertId: BigInt(answer.insertId),
        };
      default:
        return { rows: [] };
    }
  }

  // biome-ignore lint/correctness/useYield: the interface wants it; every list of ours is read in pages.
  async *streamQuery<R>(): AsyncIterableIterator<QueryResult<R>> {
    throw new Error("The embedded store does not stream results.");
  }
}
