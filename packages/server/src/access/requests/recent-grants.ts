// What somebody had of late, for conditions: grants that began in the last 24 hours or 7 days, or are still ahead.

import type { PersonId } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import type { Tables } from "../../store/tables.ts";
import type { RecentGrants, RecentUse } from "../policies/condition.ts";

const dayMs = 86_400_000;

interface Used {
  readonly database_name: string;
  readonly starts_at: number;
  readonly ends_at: number;
  readonly ended_at: number | null;
}

/** On the database that is asked for, and on all of them. */
export async function recentGrants(
  db: Kysely<Tables>,
  person: PersonId,
  database: string,
  now: number,
): Promise<RecentGrants> {
  const rows = await db
    .selectFrom("grants")
    .select(["database_name", "starts_at", "ends_at", "ended_at"])
    .where("person_id", "=", person)
    .where("starts_at", ">", now - 7 * dayMs)
    .execute();
  const span = (days: number, used: readonly Used[]) =>
    sumUp(used.filter(({ starts_at }) => starts_at > now - days * dayMs));
  const here = rows.filter(({ database_name }) => database_name === database);
  return {
    here: { day: span(1, here), week: span(7, here) },
    anywhere: { day: span(1, rows), week: span(7, rows) },
  };
}

/** Time that was given back early does not count; time ahead does. */
function sumUp(used: readonly Used[]): RecentUse {
  const ms = used.reduce((sum, grant) => sum + usedMs(grant), 0);
  return { grants: used.length, minutes: Math.ceil(ms / 60_000) };
}

export function usedMs({ starts_at, ends_at, ended_at }: Omit<Used, "database_name">): number {
  return Math.max(0, Math.min(ended_at ?? ends_at, ends_at) - starts_at);
}
