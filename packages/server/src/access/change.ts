// What every change of requests and grants is made in: one transaction, one moment, its records and its hints.

import type { Clock, Random } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import type { AuditEvent } from "../audit/record.ts";
import type { AuditTrail } from "../audit/trail.ts";
import type { Bus, Hint } from "../bus.ts";
import type { Config } from "../config/config.ts";
import type { UserPlan } from "../credentials/ledger.ts";
import type { Creation } from "../credentials/service.ts";
import type { Store } from "../store/store.ts";
import type { Tables } from "../store/tables.ts";

export interface AccessPorts {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly bus: Pick<Bus, "emit">;
  readonly trail: Pick<AuditTrail, "stage" | "drain">;
  readonly config: Pick<Config, "databases" | "policies">;
  readonly planUser: PlanUser;
  /** What would be done in a database for a grant of a person's. */
  readonly describeCreation: (
    database: string,
    profile: string,
    person: string,
  ) => Promise<Creation>;
  /** How a grant on a profile of a database can leave something behind; empty: it cannot. */
  readonly waysToLeaveTraces: (database: string, profile: string) => readonly string[];
}

/** Writes the ephemeral user of a new grant into the ledger, in the grant's own transaction. */
export type PlanUser = (
  tx: Kysely<Tables>,
  plan: Pick<
    UserPlan,
    "grantId" | "personName" | "databaseName" | "profile" | "validUntil" | "drainMs"
  >,
) => Promise<{ readonly userName: string }>;

export interface Change {
  readonly tx: Kysely<Tables>;
  /** Epoch milliseconds; read once the store was ours, so that waiting for it never lengthens anything. */
  readonly now: number;
  /** Stages a record: it is kept if and only if the change is. */
  record(event: AuditEvent): Promise<void>;
  /** Told when the change was committed. */
  hint(type: Hint["type"], id: string): void;
}

/** Runs `work` as one change. Hints go out before the journal is written: an end must not wait for a full disk. */
export async function makeChange<T>(
  { store, clock, bus, trail }: AccessPorts,
  work: (change: Change) => Promise<T>,
): Promise<T> {
  const hints: Hint[] = [];
  const result = await store.transaction(async (tx) => {
    return await work({
      tx,
      now: clock.now(),
      record: (event) => trail.stage(tx, event),
      hint: (type, id) => hints.push({ type, id }),
    });
  });
  for (const hint of hints) {
    bus.emit(hint);
  }
  return result;
}
