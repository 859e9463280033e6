// What an approver should know before the yes or no: what the person had before, and what is not as usual this time.

import type { RequestBackground } from "@jitdb/shared/api/access";
import type { Kysely } from "kysely";
import { countKinds } from "../../audit/search/kinds.ts";
import type { Caller } from "../../identity/caller.ts";
import type { Tables } from "../../store/tables.ts";
import type { AskedRequest } from "../requests/row.ts";
import { bearsOn, selectPastGrants } from "./records.ts";

const limits = {
  /** Grants that are looked back on. */
  looksBackOn: 200,
  /** Of them, those that are shown. */
  shown: 3,
  /** Below, nothing is usual yet: neither hours nor lengths. */
  leastForHabits: 10,
} as const;

const hourMs = 3_600_000;

/** A grant as it was given, or one that is asked for. */
export interface GrantLike {
  readonly database: string;
  readonly profile: string;
  /** Epoch milliseconds. */
  readonly startsAt: number;
  readonly durationMs: number;
}

/** The person's newest grants before the request, and how the request differs from them. */
export async function backgroundOf(
  db: Kysely<Tables>,
  now: number,
  caller: Caller,
  id: string,
): Promise<Omit<RequestBackground, "privileges">> {
  const asked = await db
    .selectFrom("requests")
    .select(["person_id", "database_name", "profile", "starts_at", "duration_ms"])
    .where("id", "=", id as AskedRequest["id"])
    .executeTakeFirstOrThrow();
  const past = await selectPastGrants(db)
    .where("grants.person_id", "=", asked.person_id)
    .where("grants.request_id", "!=", id as AskedRequest["id"])
    .orderBy("grants.starts_at", "desc")
    .limit(limits.looksBackOn)
    .execute();
  const shown = past.slice(0, limits.shown);
  const sessions = await db
    .selectFrom("sessions")
    .select(["grant_id", "statements"])
    .where(
      "grant_id",
      "in",
      shown.length === 0 ? ["" as (typeof past)[number]["id"]] : shown.map((grant) => grant.id),
    )
    .execute();
  const request = {
    database: asked.database_name,
    profile: asked.profile,
    startsAt: asked.starts_at ?? now,
    durationMs: asked.duration_ms,
  };
  const describe = async (grant: PastRow) => {
    const own = sessions.filter(({ grant_id }) => grant_id === grant.id);
    return {
      id: grant.id,
      database: grant.database_name,
      profile: grant.profile,
      startsAt: new Date(grant.starts_at).toISOString(),
      durationSeconds: Math.floor((grant.ends_at - grant.starts_at) / 1000),
      sessions: own.length,
      statements: own.reduce((sum, { statements }) => sum + statements, 0),
      kinds: await countKinds(db, grant.id),
      readable: bearsOn(grant, request, caller),
    };
  };
  return {
    lastGrants: await Promise.all(shown.map(describe)),
    unusual: unusualIn(request, past.map(toLike)),
  };
}

type PastRow = Awaited<ReturnType<ReturnType<typeof selectPastGrants>["execute"]>>[number];

function toLike(grant: PastRow): GrantLike {
  return {
    database: grant.database_name,
    profile: grant.profile,
    startsAt: grant.starts_at,
    durationMs: grant.ends_at - grant.starts_at,
  };
}

/** How the request differs from what the person had before. */
export function unusualIn(
  asked: GrantLike,
  past: readonly GrantLike[],
): RequestBackground["unusual"] {
  const unusual: RequestBackground["unusual"] = [];
  const onDatabase = past.filter(({ database }) => database === asked.database);
  if (onDatabase.length === 0) {
    unusual.push("first_database");
  } else if (!onDatabase.some(({ profile }) => profile === asked.profile)) {
    unusual.push("first_profile");
  }
  if (past.length >= limits.leastForHabits) {
    if (!past.some(({ startsAt }) => hoursApart(startsAt, asked.startsAt) <= 1)) {
      unusual.push("hour");
    }
    const shorter = past.filter(({ durationMs }) => durationMs < asked.durationMs).length;
    if (shorter * 10 >= past.length * 9) {
      unusual.push("length");
    }
  }
  return unusual;
}

/** Between two times of the day, around the clock; in UTC, as habits need no zone. */
function hoursApart(a: number, b: number): number {
  const apart = Math.abs((a % (24 * hourMs)) - (b % (24 * hourMs))) / hourMs;
  return Math.min(apart, 24 - apart);
}
