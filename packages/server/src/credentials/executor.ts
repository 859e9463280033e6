// What the ledger asks of a database: small steps that may be repeated at will. Arguments and results are plain JSON,
// since an executor may run in a gateway elsewhere. How an engine does them is engines/<engine>/executor.ts.

import type { Comparison, Snapshot } from "./traces.ts";

/** A user of the ledger as an executor needs it. */
export interface UserRef {
  readonly name: string;
  /** The database's own number of the role; null while it is not known that the user was made. */
  readonly oid: number | null;
  /** Name of the profile. One that is no longer configured counts as leaving tables to the keeper. */
  readonly profile: string;
}

export interface NewUser {
  readonly name: string;
  readonly profile: string;
  /** SCRAM-SHA-256 verifier. SECURITY: never a password, which would stand in the database's log when the statement fails. */
  readonly verifier: string;
  /** From now on the database's own clock; more than zero. */
  readonly validForMs: number;
}

/** A thing that a step could not do. */
export interface Obstacle {
  /** One sentence with the object's name. */
  readonly message: string;
  readonly remedy: Remedy;
}

/** Statements for a superuser, in order, that clear an obstacle. Complete, without semicolons at their ends. */
export interface Remedy {
  /** Name of the database inside the server to run them in. */
  readonly database: string;
  readonly statements: readonly string[];
}

/** What came of a step. A user that is gone already has no obstacles. */
export interface StepResult {
  /** What was done, a sentence each; for the audit. */
  readonly did: readonly string[];
  /** Empty: the step is complete. */
  readonly obstacles: readonly Obstacle[];
}

export interface TerminateResult extends StepResult {
  readonly terminated: number;
}

/** A live database session of an ephemeral user. */
export interface BackendRef {
  readonly pid: number;
  /** ISO time with microseconds; tells a process from a later one of the same number. */
  readonly startedAt: string;
  readonly user: string;
  readonly clientAddress: string | null;
}

/** Something about a database that keeps grants on it from working or from being safe. */
export interface Problem {
  /** A warning leaves grants working. */
  readonly severity: "error" | "warning";
  readonly message: string;
  readonly fix: string;
}

/** Steps in the end of a user, in the order in which they are tried. */
export const endSteps = [
  "lock",
  "terminate",
  "rollbackPrepared",
  "clean",
  "drop",
  "verify",
] as const;
export type EndStep = (typeof endSteps)[number];

/**
 * Idempotent steps on one database. Every one has a deadline of its own.
 * @throws JitdbError `database.unavailable` when the database cannot be reached, `database.misconfigured` when it refuses
 * the admin role what it needs, `database.unsafe_profile` from `create`, `describeCreation` and `assertSafe`
 */
export interface Executor {
  /** Everything that is wrong with the set-up; empty when grants can work. */
  inspect(): Promise<readonly Problem[]>;
  /** Makes the user, or adopts one of that name and gives it this verifier and these memberships alone. */
  create(user: NewUser): Promise<{ readonly oid: number }>;
  /**
   * The statements that `create` would run to make the user, in order, with marks (`<verifier>`, `<end>`, `<admin>`) in the
   * place of what is not known yet or nobody's to see.
   */
  describeCreation(user: Pick<NewUser, "name" | "profile">): Promise<readonly string[]>;
  /** Moves the end of a user that is there to so many milliseconds from now, by the database's own clock. */
  extend(user: UserRef, validForMs: number): Promise<void>;
  /** Proves that the user's closure of roles holds nothing forbidden (invariant 32). */
  assertSafe(user: UserRef): Promise<void>;
  /** Stops logins and forgets the password. */
  lock(user: UserRef): Promise<StepResult>;
  terminate(user: UserRef): Promise<TerminateResult>;
  rollbackPrepared(user: UserRef): Promise<StepResult>;
  /** Removes or hands to the keeper, object by object, what the user left in every database of the cluster. */
  clean(user: UserRef): Promise<StepResult>;
  drop(user: UserRef): Promise<StepResult>;
  /** Looks whether anything is left; an obstacle for each. */
  verify(user: UserRef): Promise<StepResult>;
  /** What a grant on the profile could change; taken before its user is made. */
  snapshot(profile: string): Promise<Snapshot>;
  /** What is different from what a snapshot has found; asked when the user is gone. */
  compare(before: Snapshot): Promise<Comparison>;
  /** By profile: how a grant on it can leave traces. Each completes "A grant …". */
  waysToLeaveTraces(): Promise<Readonly<Record<string, readonly string[]>>>;
  /** Ephemeral users of one installation, by their names. */
  users(installation: string): Promise<readonly { readonly name: string; readonly oid: number }[]>;
  /** Sessions of an installation's ephemeral users. */
  backends(installation: string): Promise<readonly BackendRef[]>;
  /** Ends those of the sessions that are still the same ones; returns the ones it ended. */
  terminateBackends(backends: readonly BackendRef[]): Promise<readonly BackendRef[]>;
  close(): Promise<void>;
}
