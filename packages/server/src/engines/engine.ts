// What an engine gives the server. Engines stand side by side; another one is a folder and a line in a list.

import type { JitdbError } from "@jitdb/shared/errors";
import type { Clock, Random } from "@jitdb/shared/ids";
import type { Secret } from "@jitdb/shared/secret";
import type { Logger } from "pino";
import type { Journal } from "../audit/journal.ts";
import type { SessionEnd, Subject } from "../audit/record.ts";
import type { Masker } from "../audit/statements/masker.ts";
import type { DatabaseConfig } from "../config/config.ts";
import type { Executor } from "../credentials/executor.ts";
import type { Turn } from "../gateway/turn.ts";

export interface SetupOptions {
  /** Addresses or CIDR ranges that gateways connect from; for the database's own access rules. */
  readonly gatewayAddresses: readonly string[];
  /**
   * Password verifier for the admin role. Absent: the script asks whoever runs it.
   * SECURITY: a verifier, so that a script in a ticket or a shell history holds no password.
   */
  readonly adminVerifier?: string;
}

export interface Engine {
  readonly name: DatabaseConfig["engine"];
  /** The port through which ephemeral users of a database are made and ended. Connects when first needed; `close` it. */
  createExecutor(database: DatabaseConfig): Executor;
  /** What a DBA runs once, in the engine's own language; may be run again. */
  setupSql(database: DatabaseConfig, options: SetupOptions): string;
  /** The side that logs in and relays; one for the life of a gateway. */
  createSessions(ports: SessionPorts): Sessions;
}

export interface SessionPorts {
  readonly clock: Clock;
  readonly random: Random;
  readonly journal: Journal;
  readonly turn: Turn;
  readonly masker: Masker;
  /** Bytes of a statement's text, or of all its parameters, that are recorded. Absent: the configuration's default. */
  readonly maxTextBytes?: number;
  readonly log: Logger;
}

export interface Sessions {
  /**
   * Logs in to the database for one client. The session is silent until its `start`.
   * @throws JitdbError `postgres.start_up`, `postgres.replication`, `postgres.version`, `postgres.protocol` and
   * `database.unknown` for what the client asks for; `database.unavailable`, `database.misconfigured`, `limit.reached`,
   * `database.password` (the user has another one) and `postgres.auth` for what the database says.
   * SECURITY: messages name neither host nor admin; that is in `detail` and `cause`, for the log (invariant 18).
   */
  open(request: SessionRequest): Promise<Session>;
  /**
   * Logs in for a client that is not there yet: one `open` for the same user with the same start-up may be given what comes of it.
   * @throws JitdbError as `open`
   */
  logInAhead(request: LoginRequest): Promise<SpareLogin>;
  /**
   * Keeps a connection ready for the next login to each of these databases, and for no others. To be called with the whole list
   * whenever it may have changed, and now and then besides: what could not be made is tried again then. Never throws.
   */
  keepReady(expected: readonly ExpectedDatabase[]): void;
}

/** A database that somebody may connect to soon. */
export interface ExpectedDatabase {
  readonly database: DatabaseConfig;
  /** Whether its limit of connections has room for one that nobody uses yet. */
  hasRoom(): boolean;
}

/** Who logs in, where, and with what. */
export interface LoginRequest {
  readonly database: DatabaseConfig;
  readonly user: { readonly name: string; readonly password: Secret };
  /** What the client sent at its start, in the engine's own form. Nothing of it is trusted. */
  readonly startup: Uint8Array;
  /** Gives up the login. */
  readonly signal: AbortSignal;
}

/** A session of the database that no client has yet. */
export interface SpareLogin {
  /** As {@link Session.backendPid}. */
  readonly backendPid: number;
  /**
   * What its client may be told before it has asked for a session: `SessionRequest.greeted` when it does, and for one session only.
   * SECURITY: it names a key of cancel requests that is worth nothing before.
   */
  readonly greeting: Uint8Array;
  /** Settles when the connection is gone, or a session's; never rejects. */
  readonly closed: Promise<void>;
  /** Ends it, unless a session has it by now. */
  close(): void;
}

export interface SessionRequest extends LoginRequest {
  /** Made ahead for the same user with the same start-up; one that is lost by now is made again. */
  readonly spare?: SpareLogin | undefined;
  /**
   * What the client was told already: the greeting of a spare login, of this one or of another for the same user with the same start-up.
   * Absent: nothing.
   */
  readonly greeted?: Uint8Array | undefined;
  /** Stands in every record of the session. */
  readonly subject: Subject & { readonly session: string };
  readonly deadline: Deadline;
  readonly client: SessionClient;
}

/** When a session ends, by the clock of the ports; epoch ms. Looked at anew each time: a grant may get more time. */
export interface Deadline {
  /** From this moment on nothing passes but what belongs to a transaction that runs. */
  readonly endsAt: number;
  /** From this moment on nothing passes. The same as `endsAt` for a hard end. */
  readonly drainedAt: number;
  /** What the client is told when it is over. */
  expired(): JitdbError;
  /** What the client is told in the transaction that it may finish. */
  draining(): Warning;
}

export interface Warning {
  readonly message: string;
  readonly hint: string;
}

/** The client of a session: one stream of its tunnel. */
export interface SessionClient {
  /** Takes a copy of the bytes. False: write no more until the session's `resume`. */
  write(bytes: Uint8Array): boolean;
  /** So many received bytes were passed on: the client may send as many more. */
  consumed(byteCount: number): void;
  /** Ends the direction to the client behind the queued bytes. */
  close(): void;
  /** Ends both directions at once; queued bytes are dropped. */
  reset(error: JitdbError): void;
}

/** A client's connection to its database. Whoever holds it passes on what its stream brings. */
export interface Session {
  /** The database's own number of the process that serves it. */
  readonly backendPid: number;
  /** What the client calls itself; empty if it does not. */
  readonly application: string;
  /** Start-up parameters that were passed on. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly encoding: string;
  /** Settles once, when the connection to the database is gone; never rejects. */
  readonly closed: Promise<SessionSummary>;
  /** Begins to relay. */
  start(): void;
  /** Bytes of the client, the caller's again when this returns; the session has room for as many more when it says `consumed`. */
  receive(bytes: Uint8Array): void;
  /** The client takes bytes again. */
  resume(): void;
  /** The client sends no more bytes, and may still read. */
  clientClosed(): void;
  /** Nobody is there any more. A statement that runs is cancelled. */
  abandon(end: SessionEnd): void;
  /** Ends it with a native error where the client can still tell one apart from data; the client is rid of it within a second. */
  end(end: SessionEnd, error: JitdbError): void;
  /** Ends it if its deadline says so; a transaction that runs may be let finish. */
  expire(): void;
  /** Whether a transaction goes on behind the grant's end. */
  readonly isDraining: boolean;
  /** Nothing runs, and no transaction is open. */
  readonly isAtRest: boolean;
  /** A native notice, as soon as the client can take one. */
  notify(warning: Warning): void;
  /** Whether a client's request to cancel (its first message, untrusted) names this session's key. */
  takesCancel(startup: Uint8Array): boolean;
  /**
   * Cancels what runs; resolves when the database has taken note.
   * @throws JitdbError `database.unavailable`
   */
  cancel(): Promise<void>;
}

export interface SessionSummary {
  readonly end: SessionEnd;
  readonly reason?: string | undefined;
  readonly statements: number;
  /** From and to the client, after the login. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}
