// What grants leave behind, until somebody has signed it.

import type { Kysely } from "kysely";
import type { Tables } from "../tables.ts";

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable("comparisons")
    .addColumn("grant_id", "text", (column) => column.primaryKey().references("grants.id"))
    .addColumn("database_name", "text", (column) => column.notNull())
    .addColumn("state", "text", (column) => column.notNull())
    .addColumn("snapshot", "text")
    .addColumn("gaps", "text", (column) => column.notNull())
    .addColumn("traces", "text", (column) => column.notNull())
    .addColumn("digest", "text")
    .addColumn("taken_at", "bigint", (column) => column.notNull())
    .addColumn("compared_at", "bigint")
    .addColumn("next_attempt_at", "bigint", (column) => column.notNull())
    .addColumn("problem", "text")
    .addColumn("signed_by", "text", (column) => column.references("people.id"))
    .addColumn("signed_at", "bigint")
    .addColumn("signed_comment", "text")
    .execute();
  await db.schema
    .createIndex("comparisons_by_state_next_attempt_at")
    .on("comparisons")
    .columns(["state", "next_attempt_at"])
    .execute();
}
