// One turn of the event loop: what arrived in it is recorded with one write, then forwarded, then sent through the tunnels.

import { type JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { Journal } from "../audit/journal.ts";

/** Holds bytes that wait for their records. */
export interface Forwarder {
  /** Called once: everything that was appended in the turn is recorded, or `failure` says that it is not. Must not throw. */
  forward(failure: JitdbError | undefined): void;
}

/** Holds bytes that need no record. */
export interface Sender {
  /** Called once at the end of the turn. Must not throw. */
  send(): void;
}

/** Outcomes alone wait so long for a statement whose write takes them along. */
const outcomeRestMs = 20;

export class Turn {
  readonly #journal: Pick<Journal, "flush" | "settle">;
  #forwarders = new Set<Forwarder>();
  #senders = new Set<Sender>();
  #isScheduled = false;
  #flushesNow = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(journal: Pick<Journal, "flush" | "settle">) {
    this.#journal = journal;
  }

  /** Asks for a call as soon as this turn's records are written. */
  forward(forwarder: Forwarder): void {
    this.#forwarders.add(forwarder);
    this.#schedule();
  }

  /** Asks for a call when this turn's bytes are forwarded. */
  send(sender: Sender): void {
    this.#senders.add(sender);
    this.#schedule();
  }

  /** Writes what was appended at the end of this turn; nobody waits for it. */
  flush(): void {
    this.#flushesNow = true;
    this.#schedule();
  }

  #schedule(): void {
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      // Runs right after the sockets of this turn were read, before the next ones are waited for.
      setImmediate(() => this.#run());
    }
  }

  #run(): void {
    if (this.#forwarders.size > 0) {
      const forwarders = this.#forwarders;
      this.#forwarders = new Set();
      const failure = this.#flush();
      for (const forwarder of forwarders) {
        forwarder.forward(failure);
      }
    }
    // Outcomes alone: the client need not wait for them. What can't be written stays buffered, and stops the next statement.
    this.#send();
    if (this.#flushesNow) {
      this.#flush();
    } else {
      this.#timer ??= setTimeout(() => this.#rest(), outcomeRestMs).unref();
    }
    this.#journal.settle();
    this.#isScheduled = false;
    if (this.#forwarders.size > 0 || this.#senders.size > 0) {
      this.#schedule();
    }
  }

  #rest(): void {
    this.#timer = undefined;
    this.#flush();
  }

  #flush(): JitdbError | undefined {
    this.#flushesNow = false;
    try {
      this.#journal.flush();
      return undefined;
    } catch (error) {
      return toJitdbError(error);
    }
  }

  #send(): void {
    const senders = this.#senders;
    this.#senders = new Set();
    for (const sender of senders) {
      sender.send();
    }
  }
}
