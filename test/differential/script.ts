// The differential bench: every script runs twice, once in a direct session and once through agent and gateway, and whoever
// watches must not be able to tell which is which. Compared are
//
// - what the client got: of raw sessions every message of the server, byte for byte; of programs stdout, stderr, exit code;
// - the traces: every line that the server logged about the script's sessions (log_statement=all), with parameters;
// - the effects: the catalogue, the rows and the large objects that the script left behind;
// - at the end, through the tunnel alone: the server's log as the oracle of the audit (oracle.ts).
//
// The two databases are twins (twins.ts): two servers with the same template, and in the direct one a role of the same name
// and the same rights as the grant's user. So nothing has to be replaced before comparing but what differs between any two
// sessions, and what docs/wire-support.md lists: sightings.ts has every such replacement, with its reason.
//
// To add a script, add one entry to a table in scripts/: a name, who speaks, and what it does with its `World`.
//
//     { name: "rolls back to a savepoint", speaks: "psql", run: psql("BEGIN; SAVEPOINT s; …") }
//
// It may leave things behind; they become effects, and stay for the scripts after it. It must not ask for what differs between
// any two sessions (times, transaction ids, ports); where it does on purpose, a replacement belongs into sightings.ts.

import type pg from "pg";
import type { RawSession } from "./raw-session.ts";

/** Programs are of the machine's PostgreSQL; `raw` and `pg` need none. */
export type Speaker = "raw" | "pg" | "psql" | "pgbench" | "pg_dump";

export interface Script {
  readonly name: string;
  readonly speaks: Speaker;
  readonly run: (world: World) => Promise<void>;
  /**
   * Row of docs/wire-support.md's known differences that the script shows. Such a script is compared up to where it
   * breaks the protocol.
   */
  readonly showsDifference?: number;
  /** Its sessions share the work as it comes: what the server logged is compared without saying in which of them. */
  readonly hasWorkers?: true;
}

/** One side of the bench, as one script sees it. Whatever goes through it is noted for the comparison. */
export interface World {
  /** Logs in, and gives a session of raw messages; parameters of the start-up packet besides user and database. */
  open(
    parameters?: Readonly<Record<string, string>>,
    protocolVersion?: number,
  ): Promise<RawSession>;
  /** A connected client of the `pg` library; its notices, notifications and errors are noted. */
  client(): Promise<pg.Client>;
  /** Runs a program of PostgreSQL's in the script's own folder, and notes its output and exit code. */
  program(name: string, args: readonly string[], options?: ProgramInput): Promise<void>;
  /** Sends a cancel request for a session, and resolves when the server has closed it. */
  cancel(session: RawSession): Promise<void>;
  /** Notes what the script has seen. */
  note(what: string, value: unknown): void;
  /** Waits until a query of the superuser gives true. */
  until(sql: string): Promise<void>;
}

export interface ProgramInput {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
}
