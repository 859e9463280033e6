// What both sides of the observer share: the replies that are owed, what names mean, and the state of errors and COPY.

import type { SqlSyntax } from "../../../audit/statements/sql-tokenizer.ts";
import { ExpectedReplies, isRunning, type Running } from "./expected.ts";
import { Names } from "./names.ts";
import type { Bound, Prepared } from "./statements.ts";

export const observerLimits = {
  /** Replies that the server owes; the relay had better stop reading from the client long before. */
  replies: 100_000,
  /** Replies owed from which on the relay should not read from the client. */
  repliesToWait: 5_000,
  /** Prepared statements, and portals, that a session holds. */
  names: 20_000,
  /** Meanings of one name that an intent lists. */
  meanings: 16,
} as const;

export class Conversation {
  readonly replies = new ExpectedReplies(observerLimits.replies);
  readonly prepared = new Names<Prepared>("prepared statements", observerLimits);
  readonly portals = new Names<Bound>("portals", observerLimits);
  syntax: SqlSyntax;

  /** Statements so far. */
  statements = 0;
  /** How many of them were forwarded. */
  forwarded = 0;
  /** The server passes over everything up to the client's next Sync. */
  isSkipping = false;
  /** A COPY failed; data for it that was under way is passed over. */
  isAfterCopy = false;
  /**
   * A COPY failed into which a Sync was sent: whether the server passed over that Sync or ends its skipping with it
   * can't be told until it is ready.
   */
  isUndecided = false;
  /** The client may have made functions, and any statement may call them. */
  hasMadeCode = false;
  /** The last Execute that completed: what a commit that fails at the Sync undoes. */
  lastExecute: string | undefined;
  readonly #serverEncoding: string | undefined;

  /** @param serverEncoding as the server told it; undefined if it did not */
  constructor(syntax: SqlSyntax, serverEncoding: string | undefined) {
    this.syntax = syntax;
    this.#serverEncoding = serverEncoding;
    this.setEncoding(syntax.encoding);
  }

  /** The server takes what the client sends to be in this encoding. */
  setEncoding(encoding: string): void {
    this.syntax = { ...this.syntax, encoding };
    if (encoding !== this.#serverEncoding) {
      this.prepared.doubtBytes();
      this.portals.doubtBytes();
    }
  }

  /** What the server works on or comes to next, if that is a statement. */
  get running(): Running | undefined {
    const { head } = this.replies;
    return isRunning(head) ? head : undefined;
  }

  /** The client sends a statement, which may call code of the database. */
  ranCode(): void {
    this.prepared.ranCode();
    this.portals.ranCode();
  }

  /** The client sends what may give names another meaning by SQL. */
  doubtAsked(): void {
    this.prepared.doubtAsked();
    this.portals.doubtAsked();
  }

  /** The server has worked through such a message, or through a part of it. */
  doubtDone(): void {
    this.prepared.doubtDone();
    this.portals.doubtDone();
  }
}
