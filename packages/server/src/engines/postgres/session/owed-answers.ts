// What a server still has to answer, and whether a transaction is open: whether anything runs, as far as the messages tell.
// A unit is what one ReadyForQuery answers: a Query, a FunctionCall, or messages of the extended protocol with their Sync.

import type { Segment } from "@jitdb/shared/postgres/decoder";
import { backendMessages, frontendMessages } from "@jitdb/shared/postgres/messages";

/** ReadyForQuery's byte for "not in a transaction". */
const idle = 0x49;

export class OwedAnswers {
  /** ReadyForQuery messages that are due. */
  #owedReady = 0;
  /** Messages of the extended protocol were sent, and no Sync behind them. */
  #isUnsynced = false;
  #isTerminated = false;
  #isInTransaction = false;
  /** The server answers messages of the extended protocol: they, and no Query, are what it works on. */
  #isExtended = false;
  /** The server reads COPY data for a unit of the extended protocol, and passes over each Sync on its way. */
  #skipsSyncs = false;

  /** The client has said goodbye. */
  get isTerminated(): boolean {
    return this.#isTerminated;
  }

  get isNothing(): boolean {
    return this.#owedReady === 0 && !this.#isUnsynced;
  }

  /** Nothing runs, and no transaction is open. */
  get isAtRest(): boolean {
    return this.isNothing && !this.#isInTransaction;
  }

  /** The server was sent more than the unit that it works on. */
  get isAhead(): boolean {
    return this.#owedReady + Number(this.#isUnsynced) > 1;
  }

  /** Whether a message of the client would begin a unit behind one that is not answered yet. */
  isNext({ type }: Pick<Segment, "type">): boolean {
    return this.#owedReady > 0 && beginners.has(type);
  }

  client({ type, last }: Segment): void {
    if (!last) {
      return;
    }
    switch (type) {
      case frontendMessages.Sync:
        this.#owedReady += this.#skipsSyncs ? 0 : 1;
        this.#isUnsynced &&= this.#skipsSyncs;
        return;
      case frontendMessages.Query:
      case frontendMessages.FunctionCall:
        this.#owedReady += 1;
        this.#isUnsynced = false;
        return;
      case frontendMessages.Terminate:
        this.#isTerminated = true;
        return;
      case frontendMessages.CopyDone:
      case frontendMessages.CopyFail:
        this.#skipsSyncs = false;
        return;
      default:
        this.#isUnsynced ||= beginners.has(type);
    }
  }

  /** @param chunk the bytes that the segment is of */
  server(chunk: Uint8Array, { type, last, bodyStart }: Segment): void {
    if (!last) {
      return;
    }
    switch (type) {
      case backendMessages.ReadyForQuery:
        this.#owedReady = Math.max(0, this.#owedReady - 1);
        this.#isInTransaction = chunk[bodyStart] !== idle;
        this.#isExtended = false;
        this.#skipsSyncs = false;
        return;
      case backendMessages.ParseComplete:
      case backendMessages.BindComplete:
        this.#isExtended = true;
        return;
      case backendMessages.CopyInResponse:
        this.#copyIn();
        return;
      case backendMessages.ErrorResponse:
        this.#skipsSyncs = false;
        return;
      default:
    }
  }

  /** A Sync that was sent with the Execute of a COPY is one of those that the server passes over. */
  #copyIn(): void {
    if (this.#isExtended) {
      this.#skipsSyncs = true;
      this.#owedReady = Math.max(0, this.#owedReady - 1);
      this.#isUnsynced = true;
    }
  }
}

/** What makes the server work. COPY data, Flush and Sync belong to what was sent before them. */
const beginners: ReadonlySet<number> = new Set([
  frontendMessages.Query,
  frontendMessages.FunctionCall,
  frontendMessages.Parse,
  frontendMessages.Bind,
  frontendMessages.Describe,
  frontendMessages.Execute,
  frontendMessages.Close,
]);
