// Writes a session's statement records: who they are about, their ids, and outcomes with the transaction's state.

import type { TransactionState } from "@jitdb/shared/postgres/backend";
import type { AuditEvent, EventOf, StatementResult, Subject } from "../../../audit/record.ts";
import type { Running } from "./expected.ts";

type Outcome = EventOf<"statement.outcome">;

/** What an outcome says besides what is known of what runs. */
export type OutcomeDetails = Partial<Pick<Outcome, "parse" | "bind" | "tag" | "rows" | "sqlstate">>;

export interface SessionRecordsOptions {
  readonly subject: Subject & { readonly session: string };
  readonly append: (event: AuditEvent) => void;
  /** Milliseconds of any clock, for durations. */
  readonly now: () => number;
}

export class SessionRecords {
  readonly subject: Subject & { readonly session: string };
  readonly #append: (event: AuditEvent) => void;
  readonly #now: () => number;
  #ids = 0;
  /** The newest outcome waits for the next message: if that is ReadyForQuery, it tells the transaction's state. */
  #held: Outcome | undefined;

  constructor({ subject, append, now }: SessionRecordsOptions) {
    this.subject = subject;
    this.#append = append;
    this.#now = now;
  }

  now(): number {
    return this.#now();
  }

  createId(): string {
    this.#ids += 1;
    return `${this.subject.session}.${this.#ids}`;
  }

  append(event: AuditEvent): void {
    this.release();
    this.#append(event);
  }

  /** The outcome of what runs; counts from here on for its next result. */
  settle(running: Running, result: StatementResult, details: OutcomeDetails = {}): void {
    const now = this.#now();
    this.#hold({
      kind: "statement.outcome",
      ...this.subject,
      statement: running.statement,
      result,
      ...(running.kind === "query" ? { index: running.results } : {}),
      ...details,
      bytesIn: running.bytesIn,
      bytesOut: running.bytesOut,
      durationMs: round(now - running.startedAt),
    });
    running.results += 1;
    running.bytesIn = 0;
    running.bytesOut = 0;
    running.startedAt = now;
  }

  /** The outcome of a message that ran nothing of its own, named by its record's id. */
  settleMessage(statement: string, result: StatementResult, sqlstate?: string): void {
    const details = sqlstate === undefined ? {} : { sqlstate };
    const none = { bytesIn: 0, bytesOut: 0, durationMs: 0 };
    this.#hold({
      kind: "statement.outcome",
      ...this.subject,
      statement,
      result,
      ...details,
      ...none,
    });
  }

  /** Writes the outcome that waits, if one does. */
  release(transaction?: TransactionState): void {
    const held = this.#held;
    if (held !== undefined) {
      this.#held = undefined;
      this.#append(transaction === undefined ? held : { ...held, transaction });
    }
  }

  #hold(outcome: Outcome): void {
    this.release();
    this.#held = outcome;
  }
}

/** Microseconds are as much as anybody can measure here. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
