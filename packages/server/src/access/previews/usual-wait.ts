// How long requests like one waited for their decision. Of a few nothing can be said.

import type { RequestPreview } from "@jitdb/shared/api/previews";
import type { Kysely } from "kysely";
import type { Tables } from "../../store/tables.ts";

export const waitLimits = {
  /** Requests that are looked back on. */
  looksBackOn: 100,
  /** Decisions below which nothing is usual yet. */
  leastDecided: 5,
} as const;

/** Of requests by one rule for one database that a person had to decide; the median, as one night spoils a mean. */
export async function usualWait(
  db: Kysely<Tables>,
  { policy, database }: { readonly policy: string; readonly database: string },
): Promise<RequestPreview["usualWait"]> {
  const past = await db
    .selectFrom("requests")
    .select(["state", "created_at", "decided_at"])
    .where("policy", "=", policy)
    .where("database_name", "=", database)
    .where("extends_grant", "is", null)
    .where("approvals_needed", ">", 0)
    .where("state", "in", ["approved", "denied", "lapsed"])
    .orderBy("created_at", "desc")
    .limit(waitLimits.looksBackOn)
    .execute();
  const waits = past
    .filter(({ state }) => state !== "lapsed")
    .map(({ created_at, decided_at }) => (decided_at ?? created_at) - created_at)
    .sort((a, b) => a - b);
  const median = waits[Math.floor((waits.length - 1) / 2)];
  if (median === undefined || waits.length < waitLimits.leastDecided) {
    return null;
  }
  return {
    medianSeconds: Math.round(median / 1000),
    decided: waits.length,
    lapsed: past.length - waits.length,
  };
}
