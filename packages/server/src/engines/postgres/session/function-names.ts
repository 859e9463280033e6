// Names the functions that a session calls by OID (FunctionCall), for its records. A call never waits for its name: the
// database is asked on a connection of the admin role meanwhile, and the name is a record of its own.

import { largeObjectFunctions } from "@jitdb/shared/postgres/functions";
import type { Subject } from "../../../audit/record.ts";
import type { DatabaseConfig } from "../../../config/config.ts";
import type { SessionPorts } from "../../engine.ts";
import { AdminConnection } from "../admin-connection.ts";
import type { CalledFunctions } from "../observer/client-side.ts";

type FunctionNamesPorts = Pick<SessionPorts, "journal" | "turn" | "log">;

/** Functions of a session that are asked for; clients that call more know themselves what they do. */
const maxNames = 100;

/** One for each session; asks for each function once, and about those of large objects never: everybody knows them. */
export class FunctionNames implements CalledFunctions {
  readonly #ports: FunctionNamesPorts;
  readonly #database: DatabaseConfig;
  readonly #subject: Subject;
  /** Made when needed: hardly any session calls functions so. */
  #asked: Set<number> | undefined;

  constructor(ports: FunctionNamesPorts, database: DatabaseConfig, subject: Subject) {
    this.#ports = ports;
    this.#database = database;
    this.#subject = subject;
  }

  called(statement: string, oid: number): void {
    this.#asked ??= new Set();
    if (largeObjectFunctions.has(oid) || this.#asked.has(oid) || this.#asked.size >= maxNames) {
      return;
    }
    this.#asked.add(oid);
    this.#find(statement, oid).catch((error: unknown) =>
      this.#ports.log.warn(
        { err: error, session: this.#subject.session },
        "a called function has no name on record",
      ),
    );
  }

  async #find(statement: string, oid: number): Promise<void> {
    const connection = new AdminConnection(this.#database);
    try {
      const [row] = await connection.query<{ name: string }>(
        "SELECT oid::pg_catalog.regprocedure::pg_catalog.text AS name FROM pg_catalog.pg_proc WHERE oid = $1",
        [oid],
      );
      if (row !== undefined) {
        this.#record(statement, oid, row.name);
      }
    } finally {
      await connection.close();
    }
  }

  /** @param name with schema and types, as the database has it now */
  #record(statement: string, oid: number, name: string): void {
    const { journal, turn } = this.#ports;
    const kind = "statement.function";
    journal.append({ kind, ...this.#subject, statement, function: oid, name });
    turn.flush();
  }
}
