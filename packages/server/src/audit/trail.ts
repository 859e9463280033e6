// The trail: what a transaction changed is staged in that transaction, and reaches the journal after its commit.

import { type Clock, type Random, randomBase32 } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import type { Outbox } from "../outbox/outbox.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";
import { recentOutboxRows } from "./journal/recovery.ts";
import type { Journal } from "./journal.ts";
import type { AuditEvent } from "./record.ts";

/** What parts of the server that change state need of the audit. */
export interface Trail {
  /** Stages the event in the transaction of the change that it reports: both are kept, or neither. */
  stage(tx: Kysely<Tables>, event: AuditEvent): Promise<void>;
  /**
   * Moves everything staged into the journal, in order. Call it after the commit and at the start. Calls that overlap
   * share one run, which ends when nothing is left.
   * @throws JitdbError `audit.unavailable`: what was not written stays staged
   */
  drain(): Promise<void>;
}

export interface AuditTrailOptions {
  readonly store: Store;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: Random;
  /** Tells the outside of the same changes, from the same transactions. */
  readonly outbox?: Pick<Outbox, "add">;
}

/** Each staged event reaches the journal once and in order, whatever crashes in between. */
export class AuditTrail implements Trail {
  readonly #store: Store;
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #outbox: Pick<Outbox, "add"> | undefined;
  #draining: Promise<void> | undefined;
  #drainAgain = false;

  constructor({ store, journal, clock, random, outbox }: AuditTrailOptions) {
    this.#store = store;
    this.#journal = journal;
    this.#clock = clock;
    this.#random = random;
    this.#outbox = outbox;
  }

  async stage(tx: Kysely<Tables>, event: AuditEvent): Promise<void> {
    const staged: AuditEvent = {
      ...event,
      occurredAt: new Date(this.#clock.now()).toISOString(),
      // Not the row's number: that starts again when a store is restored from a backup, the journal does not.
      outbox: randomBase32(this.#random, 16),
    };
    await tx
      .insertInto("audit_outbox")
      .values({ event: JSON.stringify(staged) })
      .execute();
    await this.#outbox?.add(tx, event);
  }

  async drain(): Promise<void> {
    if (this.#draining !== undefined) {
      this.#drainAgain = true;
      return await this.#draining;
    }
    this.#draining = this.#drainAll();
    try {
      await this.#draining;
    } finally {
      this.#draining = undefined;
    }
  }

  async #drainAll(): Promise<void> {
    do {
      this.#drainAgain = false;
      while (await this.#drainBatch()) {
        // A full batch: there may be more.
      }
    } while (this.#drainAgain);
  }

  /** @returns whether there may be more */
  async #drainBatch(): Promise<boolean> {
    const rows = await this.#store.db
      .selectFrom("audit_outbox")
      .select(["id", "event"])
      .orderBy("id")
      .limit(recentOutboxRows)
      .execute();
    const last = rows.at(-1);
    if (last === undefined) {
      return false;
    }
    for (const row of rows) {
      const event = JSON.parse(row.event) as AuditEvent;
      // What is there already came before a crash, or waits in the buffer since a flush failed.
      if (event.outbox === undefined || !this.#journal.hasOutbox(event.outbox)) {
        this.#journal.append(event);
      }
    }
    this.#journal.flush();
    await this.#store.db.deleteFrom("audit_outbox").where("id", "<=", last.id).execute();
    return rows.length === recentOutboxRows;
  }
}
