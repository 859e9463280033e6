// Names the functions that a session calls by OID (FunctionCall), for its records. A call never waits for its name: the
// database is asked on a connection of the admin role meanwhile, and the name is a record of its own.

import { largeObjectFunctions } from "@jitdb/shared/postgres/functions";
import type { DatabaseConfig } from "../../../config/config.ts";
import { AdminConnection } from "../admin-connection.ts";

/** Functions of a session that are asked for; clients that call more know themselves what they do. */
const maxNames = 100;

export interface FunctionNamesOptions {
  readonly database: DatabaseConfig;
  /** The function's name with schema and types, as the database has it then. */
  readonly named: (statement: string, oid: number, name: string) => void;
  readonly onError: (error: unknown) => void;
}

/** One for each session; asks for each function once, and about those of large objects never: everybody knows them. */
export class FunctionNames {
  readonly #options: FunctionNamesOptions;
  /** Made when needed: hardly any session calls functions so. */
  #asked: Set<number> | undefined;

  constructor(options: FunctionNamesOptions) {
    this.#options = options;
  }

  /** @param statement id of the call's intent */
  called(statement: string, oid: number): void {
    this.#asked ??= new Set();
    if (largeObjectFunctions.has(oid) || this.#asked.has(oid) || this.#asked.size >= maxNames) {
      return;
    }
    this.#asked.add(oid);
    this.#find(statement, oid).catch(this.#options.onError);
  }

  async #find(statement: string, oid: number): Promise<void> {
    const connection = new AdminConnection(this.#options.database);
    try {
      const [row] = await connection.query<{ name: string }>(
        "SELECT oid::pg_catalog.regprocedure::pg_catalog.text AS name FROM pg_catalog.pg_proc WHERE oid = $1",
        [oid],
      );
      if (row !== undefined) {
        this.#options.named(statement, oid, row.name);
      }
    } finally {
      await connection.close();
    }
  }
}
