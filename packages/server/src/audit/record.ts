// The records of the audit: every kind with its fields. What a line of the journal looks like is canonical.ts's matter.
// The page for people who read or verify a journal is docs/audit-format.md; a kind is added in both places.

import type { GrantEnd } from "../store/tables.ts";

/** Whom and what a record is about; carried by every record that has them, as names and ids. */
export interface Subject {
  /** Name of the person. Identity comes from the grant, never from what a client says of itself. */
  readonly person?: string | undefined;
  /** Device id (JWK thumbprint). */
  readonly device?: string | undefined;
  /** Name of the database in the configuration. */
  readonly database?: string | undefined;
  readonly grant?: string | undefined;
  readonly session?: string | undefined;
  /** What it is about was asked for, or taken, by break-glass: somebody else has to look at it. Absent where it was not. */
  readonly breakGlass?: true | undefined;
  /** Where the request or tunnel comes from. */
  readonly address?: string | undefined;
  /** ISO time of the change, for a record that came through the outbox; `at` is when it reached the journal. */
  readonly occurredAt?: string | undefined;
  /** Names the outbox row that it came from: what keeps a crash from doubling it. Set by the trail alone. */
  readonly outbox?: string | undefined;
}

/** Bytes of a client: text where they are valid UTF-8, exact bytes in base64 where they are not. */
export type RecordedBytes = string | { readonly base64: string };

/** A text or parameter that stands in statement.chunk records of the same id, or that was too long to keep whole. */
export interface ChunkedText {
  /** Number of chunk records, counted from part 0. */
  readonly parts: number;
  /** Bytes of the whole text as recorded, masks included; with `truncated` also those that are not in the chunks. */
  readonly length: number;
  /** SHA-256 (hex) of those bytes. */
  readonly sha256: string;
  /** The chunks hold the beginning only: the text was over the limit. */
  readonly truncated?: true;
}

/** A secret that was replaced by `[masked]`. */
export interface Mask {
  /** Byte offset of the mark in the recorded text. */
  readonly at: number;
  /** First 16 bytes (hex) of the HMAC-SHA-256 of the secret's exact bytes: equal secrets have equal ones. */
  readonly mac: string;
}

export interface RecordedText {
  readonly text: RecordedBytes | ChunkedText;
  readonly masked?: readonly Mask[] | undefined;
}

/** A value in binary format, with the OID of its type; 0 where neither client nor server has told it. */
interface BinaryValue {
  readonly base64: string;
  readonly type: number;
}

/**
 * A bound parameter: `null` is SQL's NULL, text format is text, binary format base64 with its type. A long one stands in
 * chunks, with its type if it is binary.
 */
export type RecordedParameter =
  | RecordedBytes
  | BinaryValue
  | null
  | { readonly masked: string }
  | (ChunkedText & { readonly type?: number });

/** In order. */
export type RecordedParameters = readonly RecordedParameter[];

/** A statement that an Execute or Bind may mean. The one that ran is named by the outcome's `parse`. */
export interface Candidate {
  /** The statement.parse record's id; null for a statement that was never prepared through the tunnel. */
  readonly parse: string | null;
  /** Left out where it is long: the statement.parse record has it. */
  readonly text?: RecordedBytes | undefined;
  readonly masked?: readonly Mask[] | undefined;
  /** The statement.bind record's id. */
  readonly bind?: string | undefined;
  /** Left out where they are long: the statement.bind record has them. */
  readonly parameters?: RecordedParameters | undefined;
  /**
   * It is known by a name, and statements have run since: a function or trigger of the database that they called may
   * have given the name another meaning, which nobody outside of the server can see.
   */
  readonly mayBeRenamed?: true | undefined;
}

export type StatementResult =
  | "complete"
  | "empty"
  /** A row limit stopped it: the portal has more (PortalSuspended). */
  | "suspended"
  | "error"
  /** The server skipped it, since an earlier message of the pipeline failed. */
  | "skipped"
  /** The session ended before the server said how it went. */
  | "unknown"
  /** The gateway ended the session while it ran. */
  | "terminated"
  /** It was never forwarded: the record could not be written. */
  | "refused";

/** A word for why a session ended; sessions.end in the store. */
export type SessionEnd =
  | "client_closed"
  | "database_closed"
  | "expired"
  /** The grant's time was over, and the transaction that ran then has finished since. */
  | "drained"
  | "revoked"
  | "person_disabled"
  | "tunnel_lost"
  | "protocol"
  | "audit_unavailable"
  | "server_stopped"
  | "failed";

interface UserFields {
  /** Name in the database. */
  readonly user: string;
  readonly profile?: string;
}

interface RequestFields {
  readonly request: string;
}

/** Every kind, with the fields that it has besides {@link Subject}. */
export interface AuditFields {
  "server.started": { readonly version: string; readonly host?: string };
  "server.stopped": { readonly reason: string };
  "config.loaded": { readonly digest: string; readonly file?: string };
  /** The policies of the file are in force from here on. */
  "config.reloaded": {
    readonly digest: string;
    readonly file: string;
    readonly by: "console" | "signal";
    /** Keys of the file whose change waits for a restart. */
    readonly restart: readonly string[];
    /** What of the file nobody can ask for before a restart. */
    readonly closed: readonly string[];
  };
  /** The file was not put in force: the rules of before stay. */
  "config.refused": {
    readonly file: string;
    readonly by: "console" | "signal";
    /** How many there are. */
    readonly problems: number;
    /** The first of them. */
    readonly found: readonly string[];
    /** Absent: the file could not be read. */
    readonly digest?: string;
  };
  "store.opened": { readonly version: number };

  "person.added": { readonly groups: readonly string[]; readonly by?: string };
  "person.disabled": { readonly by?: string };
  "person.enabled": { readonly by?: string };
  "person.groups_changed": { readonly groups: readonly string[]; readonly by?: string };
  "setup.created": { readonly by?: string };
  "setup.used": object;

  "login.succeeded": { readonly method: string };
  /** `name` is what was typed: it need not be a person's. */
  "login.failed": { readonly name?: string; readonly reason: string };
  "login.denied": { readonly reason: string };
  "login.logged_out": object;
  "login.reuse_detected": { readonly reason?: string };
  "device.seen": { readonly label: string };
  "device.confirmed": { readonly by: string; readonly how: string };
  "device.revoked": { readonly by: string };
  /** `device` is the one that called, `target` the one that it named. */
  "device.refused": {
    readonly action: "confirm" | "revoke";
    readonly target: string;
    readonly code: string;
    readonly reason: string;
  };

  "request.created": RequestFields & {
    readonly profile: string;
    readonly durationMs: number;
    readonly reason: string;
    readonly policy: string;
    readonly digest: string;
    /** ISO time of the start that was asked for, or of the end that an extension begins at. */
    readonly startsAt?: string;
    /** The grant that shall get more time. */
    readonly extends?: string;
  };
  /** No policy allowed it, so there is no request; or an action on a request or grant that this person may not take now. */
  "request.refused": {
    readonly profile?: string;
    readonly durationMs?: number;
    readonly request?: string;
    readonly action?:
      | "approve"
      | "deny"
      | "withdraw"
      | "revoke"
      | "release"
      | "extend"
      | "sign"
      | "review";
    /** Asked with --dry-run: nothing would have come of it. */
    readonly dryRun?: true;
    readonly reason: string;
    readonly code: string;
  };
  /** One approval. */
  "request.approved": RequestFields & {
    readonly by: string;
    readonly digest: string;
    readonly durationMs: number;
    /** Narrower than what was asked for. */
    readonly profile?: string;
    /** Counted from 1. */
    readonly stage: number;
    readonly comment?: string;
  };
  /** The last approval was there, or none was needed. */
  "request.granted": RequestFields & {
    readonly profile: string;
    readonly policy: string;
    readonly startsAt: string;
    readonly endsAt: string;
  };
  "request.denied": RequestFields & { readonly by: string; readonly reason: string };
  "request.withdrawn": RequestFields;
  "request.lapsed": RequestFields;

  "grant.started": {
    readonly request: string;
    readonly profile: string;
    readonly startsAt: string;
    readonly endsAt: string;
    /** A soft end: a transaction that runs then may go on for so long. */
    readonly drainMs?: number;
  };
  /** By a request of its own, which names it. */
  "grant.extended": RequestFields & {
    readonly policy: string;
    readonly endsAt: string;
    readonly durationMs: number;
    readonly by?: string;
  };
  "grant.ended": {
    readonly end: GrantEnd;
    readonly reason: string;
    readonly by?: string;
    /** Between when it was due and when no session was left. */
    readonly latenessMs: number;
    /** Draining: until then sessions may finish the transaction that they were in. ISO time. */
    readonly drainingUntil?: string;
  };

  /** Somebody took access by break-glass: somebody else has to look at it. */
  "review.opened": RequestFields & {
    readonly reviewers: readonly string[];
    readonly dueAt: string;
  };
  "review.signed": { readonly by: string; readonly comment: string; readonly late: boolean };

  "user.planned": UserFields;
  "user.created": UserFields & { readonly oid?: number };
  /** The database had another password than the gateway's; `user.created` follows when it has this generation's. */
  "user.password_renewed": UserFields & { readonly generation: number };
  /** The database has the later end of a grant that got more time. */
  "user.extended": UserFields & { readonly validUntil: string };
  /** Logins are stopped; until then sessions may finish the transaction that they are in. */
  "user.draining": UserFields & { readonly until: string };
  /** Logins are stopped and no session is left; late by so much, behind the time for draining. */
  "user.locked": UserFields & { readonly latenessMs?: number };
  "user.terminated": UserFields & { readonly backends: number };
  /** What the user left behind and what became of it: one sentence each. */
  "user.cleaned": UserFields & { readonly steps: readonly string[] };
  "user.dropped": UserFields & { readonly latenessMs?: number };
  "user.quarantined": UserFields & { readonly error: string; readonly remedy: string };
  /** A backend of an ephemeral user that no gateway owned. */
  "user.stranger_terminated": UserFields & {
    readonly pid: number;
    readonly clientAddress?: string;
  };

  /** The catalogue is as it was before the grant. */
  "traces.none": object;
  /** What the grant left behind, or may have: open until somebody signs it. */
  "traces.found": {
    /** How many there are. */
    readonly traces: number;
    /** SHA-256 (hex) over all of them: what a signature names. */
    readonly digest: string;
    /** The first of them, one sentence each, with who made it and with which statement. */
    readonly found: readonly string[];
    /** What could not be compared. */
    readonly gaps: readonly string[];
  };
  "traces.signed": {
    readonly by: string;
    readonly traces: number;
    readonly digest: string;
    readonly comment: string;
  };

  "tunnel.opened": { readonly tunnel: string; readonly software: string };
  /** Its WebSocket is lost; its sessions wait for another one. */
  "tunnel.parked": { readonly tunnel: string; readonly reason: string; readonly sessions: number };
  /** It goes on with another WebSocket; the agent had lost so many sessions. */
  "tunnel.resumed": { readonly tunnel: string; readonly awayMs: number; readonly lost: number };
  /** Somebody asked for a tunnel that is not there, or not theirs; `tunnel` is the new one that they got. */
  "tunnel.resume_refused": { readonly tunnel: string; readonly reason: string };
  "tunnel.closed": { readonly tunnel: string; readonly reason: string };
  "tunnel.refused": {
    readonly reason: string;
    readonly code?: string;
    /** Refusals of strangers since the last record that had no record of their own: they came too fast. */
    readonly unrecorded?: number | undefined;
  };

  "session.opened": {
    readonly profile: string;
    readonly user: string;
    readonly backendPid: number;
    /** What the client calls itself; trusted by nothing. */
    readonly application?: string;
    /** Start-up parameters that were passed on. */
    readonly parameters?: Readonly<Record<string, string>>;
    readonly encoding: string;
  };
  /** The grant's time is over in the middle of a transaction: that one may finish until then, and nothing more. */
  "session.draining": { readonly until: string };
  "session.refused": { readonly code: string; readonly reason: string };
  "session.closed": {
    readonly end: SessionEnd;
    readonly reason?: string;
    readonly statements: number;
    readonly bytesIn: number;
    readonly bytesOut: number;
    readonly durationMs: number;
  };
  "session.cancel": { readonly forwarded: boolean; readonly reason?: string };

  /** A piece of a long text; the record that names `statement` as its id has the whole's length and hash. */
  "statement.chunk": {
    readonly statement: string;
    /** Which parameter, from 1, the piece belongs to; absent: the text. */
    readonly parameter?: number | undefined;
    readonly part: number;
    readonly text: RecordedBytes;
    readonly masked?: readonly Mask[] | undefined;
  };
  "statement.parse": RecordedText & {
    readonly statement: string;
    readonly name: RecordedBytes;
    readonly encoding: string;
  };
  "statement.bind": {
    readonly statement: string;
    readonly portal: RecordedBytes;
    readonly candidates: readonly Candidate[];
    readonly parameters: RecordedParameters;
    readonly encoding: string;
  };
  "statement.intent": (
    | (RecordedText & { readonly protocol: "query" })
    | {
        readonly protocol: "execute";
        readonly portal: RecordedBytes;
        /** Row limit of the Execute; absent: all rows. */
        readonly maxRows?: number;
        /** One where it is certain what will run, else all that it may still mean. */
        readonly candidates: readonly Candidate[];
      }
    | {
        readonly protocol: "function";
        /** OID in pg_proc. */
        readonly function: number;
        readonly parameters: RecordedParameters;
      }
  ) & { readonly statement: string; readonly encoding: string };
  /** The name of a function that was called by OID: asked for at its first call in the session, told when it is known. */
  "statement.function": {
    readonly statement: string;
    /** OID in pg_proc. */
    readonly function: number;
    /** With schema and types of arguments. */
    readonly name: string;
  };
  "statement.outcome": {
    readonly statement: string;
    readonly result: StatementResult;
    /** Which result of a Query with several statements, from 0. */
    readonly index?: number | undefined;
    /** Which candidate of the intent it was; absent where that can't be known. */
    readonly parse?: string | null | undefined;
    readonly bind?: string | undefined;
    readonly tag?: string | undefined;
    /** As the tag says; of a result without a tag that counts, the rows that were sent. */
    readonly rows?: number | undefined;
    /** Why the session ended, if that is what ended the statement. */
    readonly endedBy?: SessionEnd | undefined;
    /** COPY data from the client. */
    readonly bytesIn: number;
    /** Rows, COPY data and function results to the client. */
    readonly bytesOut: number;
    readonly durationMs: number;
    readonly sqlstate?: string | undefined;
    /** What the server said after it: no transaction, in one, in a failed one. */
    readonly transaction?: "idle" | "transaction" | "failed" | undefined;
  };

  /** A receiver did not take a message for so long that it was given up. */
  "event.undelivered": {
    readonly receiver: string;
    readonly message: string;
    readonly type: string;
    readonly attempts: number;
    readonly error: string;
  };

  /** First record of every segment. */
  "journal.segment": {
    /** Names the journal; the same in all of its segments. */
    readonly journal: string;
    /** The newest outbox rows of the segments before, so that nobody has to read them to know. */
    readonly recentOutbox: readonly string[];
  };
  /** What was behind the last whole record when the journal was opened: a write that a crash cut off. */
  "journal.recovered": {
    readonly segment: string;
    readonly bytes: number;
    readonly sha256: string;
  };
}

export type AuditKind = keyof AuditFields;

/** One event; `Extract` one kind with {@link EventOf}. */
export type AuditEvent = { [Kind in AuditKind]: EventOf<Kind> }[AuditKind];

export type EventOf<Kind extends AuditKind> = { readonly kind: Kind } & Subject & AuditFields[Kind];
