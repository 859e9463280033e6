// Whose records somebody may read besides their own, which administrators may anyway: of grants that they review, and, for as
// long as they have to decide on a request, what its person did that bears on it.

import type { PersonId } from "@jitdb/shared/ids";
import type { Kysely, Selectable } from "kysely";
import type { Caller } from "../../identity/caller.ts";
import type { Tables } from "../../store/tables.ts";
import { isReviewerOf } from "../grants/views.ts";
import { approverGroups } from "../requests/row.ts";
import { listForDecision } from "../requests/views.ts";

type GrantId = Selectable<Tables["grants"]>["id"];

/** Of a grant, what says who may look at it. */
export interface PastGrant {
  readonly database_name: string;
  /** Of the grant's own request: JSON array of names. */
  readonly approver_groups: string;
}

/** Whether the caller may read a grant's records, its statements among them. */
export async function readsRecords(
  db: Kysely<Tables>,
  now: number,
  caller: Caller,
  id: string,
): Promise<boolean> {
  if (caller.administrator || (await isReviewerOf(db, caller, id))) {
    return true;
  }
  const grant = await selectPastGrants(db)
    .where("grants.id", "=", id as GrantId)
    .executeTakeFirst();
  return grant !== undefined && (await decidesOnMore(db, now, caller, grant.person_id, grant));
}

/** Grants, with what `bearsOn` asks. */
export function selectPastGrants(db: Kysely<Tables>) {
  return db
    .selectFrom("grants")
    .innerJoin("requests", "requests.id", "grants.request_id")
    .select([
      "grants.id",
      "grants.person_id",
      "grants.database_name",
      "grants.profile",
      "grants.starts_at",
      "grants.ends_at",
      "requests.approver_groups",
    ]);
}

async function decidesOnMore(
  db: Kysely<Tables>,
  now: number,
  caller: Caller,
  person: PersonId,
  grant: PastGrant,
): Promise<boolean> {
  const waiting = await listForDecision(db, now, caller, person);
  return waiting.some((request) => bearsOn(grant, request, caller));
}

/**
 * SECURITY: texts of statements hold rows of their database. Whoever decides on a database, or would have on that grant, may
 * see them; what ran elsewhere is counted for them and no more.
 */
export function bearsOn(
  grant: PastGrant,
  request: { readonly database: string },
  caller: Pick<Caller, "groups" | "administrator">,
): boolean {
  return (
    caller.administrator ||
    grant.database_name === request.database ||
    approverGroups(grant).some((group) => caller.groups.includes(group))
  );
}
