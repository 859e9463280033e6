// What a server still has to answer: whether it works on something, as far as the messages tell.

import type { Segment } from "@jitdb/shared/postgres/decoder";
import { backendMessages, frontendMessages } from "@jitdb/shared/postgres/messages";

/**
 * Errs on the side of work: a Sync that is lost in a COPY counts as unanswered until the session's end.
 */
export class OwedAnswers {
  /** ReadyForQuery messages that are due. */
  #owedReady = 0;
  /** Messages of the extended protocol were sent, and no Sync behind them. */
  #isUnsynced = false;
  #isTerminated = false;

  /** The client has said goodbye. */
  get isTerminated(): boolean {
    return this.#isTerminated;
  }

  get isNothing(): boolean {
    return this.#owedReady === 0 && !this.#isUnsynced;
  }

  client({ type, last }: Segment): void {
    if (!last) {
      return;
    }
    switch (type) {
      case frontendMessages.Query:
      case frontendMessages.Sync:
      case frontendMessages.FunctionCall:
        this.#owedReady += 1;
        this.#isUnsynced = false;
        return;
      case frontendMessages.Terminate:
        this.#isTerminated = true;
        return;
      default:
        this.#isUnsynced = true;
    }
  }

  server({ type, last }: Segment): void {
    if (last && type === backendMessages.ReadyForQuery) {
      this.#owedReady = Math.max(0, this.#owedReady - 1);
    }
  }
}
