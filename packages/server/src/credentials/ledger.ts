// The ledger: every ephemeral user ever planned, and where it is in its life. A row is written before the user is made.
// Each change is one conditional UPDATE … RETURNING; who works on a row holds its lease.

import {
  type Clock,
  createEphemeralUserId,
  type EphemeralUserId,
  type GrantId,
  type Random,
} from "@jitdb/shared/ids";
import type { Kysely, Selectable } from "kysely";
import type { Tables } from "../store/tables.ts";
import { createUserName } from "./names.ts";

export type LedgerRow = Selectable<Tables["ephemeral_users"]>;

/** Durations in milliseconds. */
export const ledgerLimits = {
  /** A step of an executor never takes longer; each step renews the lease. */
  leaseMs: 30_000,
} as const;

export interface UserPlan {
  readonly grantId: GrantId;
  /** Name of the database in the configuration. */
  readonly databaseName: string;
  readonly profile: string;
  /** Becomes part of the user's name. */
  readonly personName: string;
  /** The installation's id, 1–5 of [a-z0-9]. */
  readonly installation: string;
  /** Id of the master key in force. */
  readonly keyId: string;
  /** The grant's end, epoch ms. */
  readonly validUntil: number;
}

/** Plans the user of a grant; call it in the transaction that inserts the grant. Making it is the service's work. */
export async function planUser(
  tx: Kysely<Tables>,
  plan: UserPlan,
  ports: { readonly clock: Clock; readonly random: Random },
): Promise<{ readonly id: EphemeralUserId; readonly userName: string }> {
  const id = createEphemeralUserId(ports.random);
  const userName = createUserName(ports.random, plan.installation, plan.personName);
  const now = ports.clock.now();
  await tx
    .insertInto("ephemeral_users")
    .values({
      id,
      grant_id: plan.grantId,
      database_name: plan.databaseName,
      user_name: userName,
      profile: plan.profile,
      generation: 1,
      key_id: plan.keyId,
      oid: null,
      state: "planned",
      valid_until: plan.validUntil,
      end_due_at: null,
      attempts: 0,
      next_attempt_at: now,
      leased_by: null,
      leased_until: 0,
      last_error: null,
      remedy_sql: null,
      created_at: now,
      dropped_at: null,
    })
    .execute();
  return { id, userName };
}
