// Who could approve at this moment, by the rules of decide.ts: for those who want to know whom to ask.

import type { PersonId } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import type { Tables } from "../../store/tables.ts";

export interface Asking {
  readonly personId: PersonId;
  /** Groups that let the person ask. */
  readonly throughGroups: readonly string[];
}

/**
 * Names of those in the groups who are not disabled, have a confirmed device to decide from, are not who asks, and did
 * not bring that person into a group that lets them ask.
 */
export async function approversOf(
  db: Kysely<Tables>,
  { personId, throughGroups }: Asking,
  groups: readonly string[],
): Promise<string[]> {
  if (groups.length === 0) {
    return [];
  }
  const people = await db
    .selectFrom("people")
    .select(["people.id", "people.name"])
    .where("people.id", "!=", personId)
    .where("people.disabled_at", "is", null)
    .where("people.kind", "=", "person")
    .where("people.id", "in", (select) =>
      select.selectFrom("memberships").select("person_id").where("group_name", "in", groups),
    )
    .where("people.id", "in", (select) =>
      select
        .selectFrom("devices")
        .select("person_id")
        .where("confirmed_at", "is not", null)
        .where("revoked_at", "is", null),
    )
    .orderBy("people.name")
    .execute();
  const bringers = await db
    .selectFrom("memberships")
    .select(["added_by", "group_name"])
    .where("person_id", "=", personId)
    .where("added_by", "is not", null)
    .execute();
  return people
    .filter(
      ({ id }) =>
        !bringers.some((one) => one.added_by === id && throughGroups.includes(one.group_name)),
    )
    .map(({ name }) => name);
}

/** A stage and who could approve on it. */
export interface StaffedStage {
  readonly needed: number;
  readonly approvers: readonly string[];
}

/**
 * Whether different people could give all approvals (Hall's theorem: every few stages together have as many people as they
 * want). There are ten stages at the most.
 */
export function canComplete(stages: readonly StaffedStage[]): boolean {
  return subsetsOf(stages).every((some) => {
    const people = new Set(some.flatMap(({ approvers }) => approvers));
    return people.size >= some.reduce((sum, { needed }) => sum + needed, 0);
  });
}

function subsetsOf<T>(items: readonly T[]): readonly (readonly T[])[] {
  return Array.from({ length: 2 ** items.length }, (_, subset) =>
    items.filter((_item, index) => Math.floor(subset / 2 ** index) % 2 === 1),
  );
}
