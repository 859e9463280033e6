// What each receiver has not taken yet, and having it tried again now.

import type { Clock } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import type { Tables } from "../store/tables.ts";
import { giveUpMsOf, type Receiver } from "./outbox.ts";

export interface Backlog {
  /** The receiver's name; it need not be configured any more. */
  readonly name: string;
  /** Messages that are still tried. */
  readonly waiting: number;
  /** Messages that were given up, and are kept for a while. */
  readonly failed: number;
  /** When the next one is tried, epoch milliseconds; null: none waits. */
  readonly nextAttemptAt: number | null;
  /** Why the newest try that failed did; null: none has. */
  readonly lastError: string | null;
}

/** Of every receiver that is configured or still has messages, by name. */
export async function backlogs(
  db: Kysely<Tables>,
  receivers: readonly Receiver[],
): Promise<Backlog[]> {
  const rows = await db
    .selectFrom("outbox")
    .select((select) => [
      "receiver",
      "state",
      select.fn.countAll<number | string>().as("count"),
      select.fn.min("next_attempt_at").as("next_attempt_at"),
    ])
    .where("state", "in", ["waiting", "dead"])
    .groupBy(["receiver", "state"])
    .execute();
  const names = new Set(
    [...receivers, ...rows.map(({ receiver: name }) => ({ name }))].map(({ name }) => name),
  );
  return await Promise.all(
    [...names].toSorted().map(async (name) => {
      const of = (state: "waiting" | "dead") =>
        rows.find((row) => row.receiver === name && row.state === state);
      return {
        name,
        waiting: Number(of("waiting")?.count ?? 0),
        failed: Number(of("dead")?.count ?? 0),
        nextAttemptAt: of("waiting")?.next_attempt_at ?? null,
        lastError: await lastErrorOf(db, name),
      };
    }),
  );
}

/** What waits is due now, and what was given up waits again, for as long as a new message would. */
export async function retryNow(
  db: Kysely<Tables>,
  clock: Clock,
  receiver: Receiver,
): Promise<void> {
  const now = clock.now();
  await db
    .updateTable("outbox")
    .set({ next_attempt_at: now })
    .where("receiver", "=", receiver.name)
    .where("state", "=", "waiting")
    .execute();
  await db
    .updateTable("outbox")
    .set({
      state: "waiting",
      attempts: 0,
      next_attempt_at: now,
      give_up_at: now + giveUpMsOf(receiver),
      settled_at: null,
    })
    .where("receiver", "=", receiver.name)
    .where("state", "=", "dead")
    .execute();
}

/** The try that was made last is the one whose next is furthest away, or that was settled last. */
async function lastErrorOf(db: Kysely<Tables>, receiver: string): Promise<string | null> {
  const failed = await db
    .selectFrom("outbox")
    .select("last_error")
    .where("receiver", "=", receiver)
    .where("state", "in", ["waiting", "dead"])
    .where("last_error", "is not", null)
    // Those that are still tried first.
    .orderBy("state", "desc")
    .orderBy("next_attempt_at", "desc")
    .executeTakeFirst();
  return failed?.last_error ?? null;
}
