// The replies that the server owes, in order, and which statement each is for.
// Source: PostgreSQL manual, "Message Flow" (Extended Query, Pipelining, COPY Operations), and what its main loop does.

import { JitdbError } from "@jitdb/shared/errors";

/** A message that makes the server run something: it has an intent on record and gets an outcome. */
export interface Running {
  readonly kind: "query" | "execute" | "function";
  /** Id of the intent. */
  readonly statement: string;
  /** Key of the portal that an Execute names. */
  readonly portal: string;
  startedAt: number;
  /** Counts what runs in the session, from 1. */
  readonly order: number;
  /** Whether its text may take names away (DEALLOCATE, CLOSE). */
  readonly takesNames: boolean;
  results: number;
  /** An error ended it: no further result comes. */
  hasFailed: boolean;
  /** DataRow messages of the result that is under way. */
  rows: number;
  bytesIn: number;
  bytesOut: number;
  /** The server reads COPY data for it, and passes over Sync and Flush. */
  isCopyingIn: boolean;
  /** A Sync was sent into its COPY. */
  hasPassedSync: boolean;
}

export type Expected =
  | Running
  | { readonly kind: "parse"; readonly name: string; readonly id: string }
  | { readonly kind: "bind"; readonly name: string; readonly id: string }
  | { readonly kind: "close"; readonly target: "statement" | "portal"; readonly name: string }
  | { readonly kind: "describe"; readonly target: "statement" | "portal"; readonly name: string }
  | { readonly kind: "sync" };

export function isRunning(entry: Expected | undefined): entry is Running {
  return entry?.kind === "query" || entry?.kind === "execute" || entry?.kind === "function";
}

/** First in, first out, in constant time. */
export class ExpectedReplies {
  readonly #max: number;
  #entries: (Expected | undefined)[] = [];
  #head = 0;
  #run = 0;

  /** @param max replies that may be owed at once */
  constructor(max: number) {
    this.#max = max;
  }

  /** Number of the run of messages, each ended by a Sync, that the client is in. */
  get run(): number {
    return this.#run;
  }

  get length(): number {
    return this.#entries.length - this.#head;
  }

  get head(): Expected | undefined {
    return this.#entries[this.#head];
  }

  /**
   * Makes sure that one more can be pushed.
   * @throws JitdbError `limit.reached`
   */
  reserve(): void {
    if (this.length >= this.#max) {
      throw new JitdbError(
        "limit.reached",
        `The client has sent ${this.#max} messages that the database has not answered.`,
        { hint: "Send shorter pipelines." },
      );
    }
  }

  push(entry: Expected): void {
    this.#entries.push(entry);
    this.#run += entry.kind === "sync" ? 1 : 0;
  }

  shift(): Expected | undefined {
    const entry = this.head;
    if (entry === undefined) {
      return undefined;
    }
    this.#entries[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#entries.length) {
      // Nothing is owed: an idle session keeps no room for what it has asked.
      this.#entries.length = 0;
      this.#head = 0;
    } else if (this.#head > 1000 && this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return entry;
  }

  /** Takes everything in front of the next Sync: what an error makes the server skip. */
  shiftRun(): Expected[] {
    const skipped: Expected[] = [];
    while (this.head !== undefined && this.head.kind !== "sync") {
      const entry = this.shift();
      if (entry !== undefined) {
        skipped.push(entry);
      }
    }
    return skipped;
  }

  /** Takes the Syncs directly behind the head, which the server passes over when the head turns out to be a COPY. */
  dropSyncsBehindHead(): number {
    const first = this.#head + 1;
    let count = 0;
    while (this.#entries[first + count]?.kind === "sync") {
      count += 1;
    }
    this.#entries.splice(first, count);
    return count;
  }
}
