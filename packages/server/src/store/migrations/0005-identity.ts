// Services beside people, accounts and groups that come from the company's identity provider, and when a device's login was.

import type { Kysely } from "kysely";
import type { Tables } from "../tables.ts";

export async function up(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .alterTable("people")
    .addColumn("kind", "text", (column) => column.notNull().defaultTo("person"))
    .execute();
  await db.schema.alterTable("people").addColumn("subject", "text").execute();
  await db.schema.createIndex("people_subject").on("people").column("subject").unique().execute();
  await db.schema
    .alterTable("memberships")
    .addColumn("source", "text", (column) => column.notNull().defaultTo("local"))
    .execute();
  await db.schema.alterTable("devices").addColumn("authenticated_at", "bigint").execute();
}
