// Who is in which group, and who says so: this server's operator, the company, or both. Each takes back only what it gave.

import type { PersonId } from "@jitdb/shared/ids";
import type { Kysely, Selectable } from "kysely";
import type { Tables } from "../store/tables.ts";

type Source = "local" | "idp";

export type Membership = Pick<Selectable<Tables["memberships"]>, "group_name" | "source">;

/** What one source says of a person. */
interface Gift {
  readonly person: PersonId;
  readonly source: Source;
  readonly groups: readonly string[];
  /** Through whom the person comes into those that are new. */
  readonly addedBy?: PersonId | null;
}

/**
 * Replaces what one source says of a person; what the other one says stays.
 * @returns the person's groups from now on, of both sources, sorted
 */
export async function replaceMemberships(
  tx: Kysely<Tables>,
  { person, source, groups, addedBy = null }: Gift,
): Promise<string[]> {
  const other: Source = source === "local" ? "idp" : "local";
  await tx
    .deleteFrom("memberships")
    .where("person_id", "=", person)
    .where("source", "=", source)
    .$if(groups.length > 0, (query) => query.where("group_name", "not in", groups))
    .execute();
  await tx
    .updateTable("memberships")
    // The company gives it to whom it likes: nobody here brought the person in any more.
    .set({ source: other, ...(source === "local" && { added_by: null }) })
    .where("person_id", "=", person)
    .where("source", "=", "both")
    .$if(groups.length > 0, (query) => query.where("group_name", "not in", groups))
    .execute();
  if (groups.length > 0) {
    await tx
      .updateTable("memberships")
      .set({ source: "both", ...(source === "local" && { added_by: addedBy }) })
      .where("person_id", "=", person)
      .where("source", "=", other)
      .where("group_name", "in", groups)
      .execute();
    await tx
      .insertInto("memberships")
      .values(
        groups.map((group_name) => ({ person_id: person, group_name, source, added_by: addedBy })),
      )
      // SECURITY: those that stay keep through whom they came.
      .onConflict((conflict) => conflict.columns(["person_id", "group_name"]).doNothing())
      .execute();
  }
  return (await membershipsOf(tx, person)).map(({ group_name }) => group_name);
}

/** Sorted by name. */
export async function membershipsOf(db: Kysely<Tables>, person: PersonId): Promise<Membership[]> {
  return await db
    .selectFrom("memberships")
    .select(["group_name", "source"])
    .where("person_id", "=", person)
    .orderBy("group_name")
    .execute();
}
