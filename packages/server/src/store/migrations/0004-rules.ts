// What rules may ask for: a later start, stages of approvals, more time, break-glass and its review.

import type { Kysely } from "kysely";
import type { Tables } from "../tables.ts";

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema.alterTable("requests").addColumn("starts_at", "bigint").execute();
  await db.schema
    .alterTable("requests")
    .addColumn("break_glass", "integer", (column) => column.notNull().defaultTo(0))
    .execute();
  await db.schema.alterTable("requests").addColumn("stages", "text").execute();
  await db.schema
    .alterTable("requests")
    .addColumn("extends_grant", "text", (column) => column.references("grants.id"))
    .execute();
  await db.schema
    .alterTable("requests")
    .addColumn("through_groups", "text", (column) => column.notNull().defaultTo("[]"))
    .execute();
  await db.schema
    .alterTable("approvals")
    .addColumn("stage", "integer", (column) => column.notNull().defaultTo(0))
    .execute();
  await db.schema.alterTable("approvals").addColumn("profile", "text").execute();
  await db.schema
    .alterTable("grants")
    .addColumn("extensions", "integer", (column) => column.notNull().defaultTo(0))
    .execute();
  await db.schema
    .alterTable("memberships")
    .addColumn("added_by", "text", (column) => column.references("people.id"))
    .execute();
  await db.schema
    .createTable("reviews")
    .addColumn("grant_id", "text", (column) => column.primaryKey().references("grants.id"))
    .addColumn("reviewer_groups", "text", (column) => column.notNull())
    .addColumn("due_at", "bigint", (column) => column.notNull())
    .addColumn("signed_by", "text", (column) => column.references("people.id"))
    .addColumn("signed_at", "bigint")
    .addColumn("comment", "text")
    .execute();
}
