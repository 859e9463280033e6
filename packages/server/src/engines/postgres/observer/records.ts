// Writes a session's statement records: who they are about, their ids, and outcomes with the transaction's state.

import type { Clock } from "@jitdb/shared/ids";
import type { TransactionState } from "@jitdb/shared/postgres/backend";
import {
  type OutcomeDetails,
  QueryIntent,
  SessionTexts,
  StatementOutcome,
} from "../../../audit/ordered.ts";
import type {
  AuditEvent,
  Candidate,
  EventOf,
  RecordedText,
  StatementResult,
  Subject,
} from "../../../audit/record.ts";
import type { Running } from "./expected.ts";

type Preparation = EventOf<"statement.parse"> | EventOf<"statement.bind">;

export interface SessionRecordsOptions {
  readonly subject: Subject & { readonly session: string };
  readonly journal: { append(event: AuditEvent): void };
  /** Any clock, for durations. */
  readonly clock: Clock;
}

export class SessionRecords {
  readonly subject: Subject & { readonly session: string };
  readonly #texts: SessionTexts;
  readonly #journal: SessionRecordsOptions["journal"];
  readonly #clock: Clock;
  #ids = 0;
  /** The newest outcome waits for the next message: if that is ReadyForQuery, it tells the transaction's state. */
  #held: StatementOutcome | undefined;
  /** Records of a Parse and a Bind that an Execute right behind them may say all of. */
  #preparations: Preparation[] = [];

  constructor({ subject, journal, clock }: SessionRecordsOptions) {
    this.subject = subject;
    this.#texts = new SessionTexts(subject);
    this.#journal = journal;
    this.#clock = clock;
  }

  now(): number {
    return this.#clock.now();
  }

  createId(): string {
    this.#ids += 1;
    return `${this.subject.session}.${this.#ids}`;
  }

  append(event: AuditEvent): void {
    this.release();
    this.#write(event);
  }

  /** Appends a Query's intent. */
  appendQuery(statement: string, recorded: RecordedText, encoding: string): void {
    const { text, masked } = recorded;
    this.append(
      typeof text === "string"
        ? new QueryIntent(this.#texts, statement, text, masked, encoding)
        : {
            kind: "statement.intent",
            ...this.subject,
            statement,
            protocol: "query",
            ...recorded,
            encoding,
          },
    );
  }

  /** Appends a Parse's or Bind's record, unless an Execute says the same right behind it; at the latest on request. */
  prepare(event: Preparation): void {
    this.release();
    this.#preparations.push(event);
  }

  /** As `prepare`. A Parse may go on waiting only if it is the one statement that the Bind can mean. */
  prepareBehind(candidates: readonly Candidate[], bind: EventOf<"statement.bind">): void {
    const [parse, ...others] = this.#preparations;
    const isMeant = candidates.length === 1 && candidates[0]?.parse === parse?.statement;
    if (!isMeant || others.length > 0) {
      this.appendPreparations();
    }
    this.prepare(bind);
  }

  /** Appends an Execute's intent. What waits and is wholly said by its candidates is left out. */
  appendExecute(event: EventOf<"statement.intent"> & { readonly protocol: "execute" }): void {
    const { candidates } = event;
    const bind = this.#preparations.at(-1);
    const saysBind =
      candidates.length > 0 &&
      candidates.every((one) => one.bind === bind?.statement && one.parameters !== undefined);
    const saysParse = candidates.length === 1 && candidates[0]?.text !== undefined;
    this.#preparations = this.#preparations.filter(({ kind, statement }) =>
      kind === "statement.bind"
        ? !saysBind
        : !(saysBind && saysParse && statement === candidates[0]?.parse),
    );
    this.append(event);
  }

  /** Appends what `prepare` was given: nothing of it may be forwarded before. */
  appendPreparations(): void {
    if (this.#preparations.length === 0) {
      return;
    }
    for (const event of this.#preparations.splice(0)) {
      this.#journal.append(event);
    }
  }

  /** The outcome of what runs; counts from here on for its next result. */
  settle(running: Running, result: StatementResult, details: OutcomeDetails = {}): void {
    const now = this.#clock.now();
    const { statement, bytesIn, bytesOut } = running;
    const passed = { bytesIn, bytesOut, durationMs: round(now - running.startedAt) };
    const outcome = new StatementOutcome(this.#texts, statement, result, passed, {
      ...details,
      index: running.kind === "query" ? running.results : undefined,
      rows: details.rows ?? (running.rows > 0 ? running.rows : undefined),
    });
    this.#hold(outcome);
    running.results += 1;
    running.rows = 0;
    running.bytesIn = 0;
    running.bytesOut = 0;
    running.startedAt = now;
  }

  /** The outcome of a message that ran nothing of its own, named by its record's id. */
  settleMessage(statement: string, result: StatementResult, sqlstate?: string): void {
    const none = { bytesIn: 0, bytesOut: 0, durationMs: 0 };
    this.#hold(new StatementOutcome(this.#texts, statement, result, none, { sqlstate }));
  }

  /** Writes the outcome that waits, if one does. */
  release(transaction?: TransactionState): void {
    const held = this.#held;
    if (held !== undefined) {
      this.#held = undefined;
      held.transaction = transaction;
      this.#write(held);
    }
  }

  #write(event: AuditEvent): void {
    if (this.#preparations.length > 0) {
      this.appendPreparations();
    }
    this.#journal.append(event);
  }

  #hold(outcome: StatementOutcome): void {
    this.release();
    this.#held = outcome;
  }
}

/** Microseconds are as much as anybody can measure here. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
