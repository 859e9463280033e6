// Which databases people may connect to at this moment.

import type { PersonId } from "@jitdb/shared/ids";
import type { Store } from "../../store/store.ts";

/** Names of the databases that these people have grants on which run at `now`; not necessarily all of them configured. */
export async function databasesInReach(
  { db }: Pick<Store, "db">,
  now: number,
  people: readonly PersonId[],
): Promise<string[]> {
  if (people.length === 0) {
    return [];
  }
  const rows = await db
    .selectFrom("grants")
    .select("database_name")
    .distinct()
    .where("person_id", "in", people)
    .where("end", "is", null)
    .where("starts_at", "<=", now)
    .where("ends_at", ">", now)
    .execute();
  return rows.map((row) => row.database_name);
}
