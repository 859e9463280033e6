// What grants leave behind in a database, as executors tell it: a snapshot before the user is made, and what is different
// when it is gone (invariant 33). Plain JSON, like all that an executor takes and gives.

/** One thing that outlives a grant: an object, a privilege, a setting. */
export interface SnapshotEntry {
  /** Name of the database inside the server; null: it belongs to the whole cluster. */
  readonly database: string | null;
  /** As the engine calls it: `table`, `function`, `privilege`, `default privileges`, `setting`, … */
  readonly kind: string;
  /** Qualified and quoted by the database; unique for its kind in its database. */
  readonly identity: string;
  /** The role that owns it, or that gave it. */
  readonly owner: string | null;
  /** What matters about it in a few words, such as `SECURITY DEFINER`; empty where the identity says all. */
  readonly detail: string;
  /** Equal as long as it is the same: the exact text of privileges and settings, a hash of anything longer. */
  readonly definition: string;
}

/** What a grant on a profile could have changed. Bounded: what did not fit is said. */
export interface Snapshot {
  /** The roles whose things were looked at: the group, those that it is a member of, and the keeper. */
  readonly roles: readonly string[];
  readonly entries: readonly SnapshotEntry[];
  /** What could not be looked at, a sentence each; empty: it is complete. */
  readonly gaps: readonly string[];
}

/** How much there is to fear of a trace: code that acts when others use it, somebody's rights, or data alone. */
export type TraceRisk = "acts" | "rights" | "data";

/** A difference between two snapshots. */
export interface Trace {
  readonly change: "new" | "changed" | "gone";
  readonly database: string | null;
  readonly kind: string;
  readonly identity: string;
  readonly owner: string | null;
  readonly detail: string;
  readonly risk: TraceRisk;
  /** Whether what a grant's user owned is handed to this owner at its end. */
  readonly kept: boolean;
  /** Words, in lower case, of which a statement that made it has at least one group whole. */
  readonly words: readonly (readonly string[])[];
  /** A statement that shows it; null where there is none. */
  readonly look: string | null;
  /** A statement that undoes it, for a superuser in that database; null where a person has to think. */
  readonly undo: string | null;
}

export interface Comparison {
  readonly traces: readonly Trace[];
  readonly gaps: readonly string[];
}

/** The words of a text, as they are compared: lower case, each once. */
export function tokensOf(text: string): string[] {
  return [...new Set(text.toLowerCase().match(/[\p{L}\p{N}_$]+/gu) ?? [])];
}
