// What a policy says of a request that waits: it holds, too, when the policy is no longer in the configuration.

import type { Kysely } from "kysely";
import type { Tables } from "../tables.ts";

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema.alterTable("requests").addColumn("terms", "text").execute();
}
