// What the outside shall hear of: one row an event and receiver, kept until it was delivered and a while longer.

import { type Kysely, PostgresAdapter } from "kysely";
import type { Tables } from "../tables.ts";

export async function up(db: Kysely<Tables>): Promise<void> {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter;
  await db.schema
    .createTable("outbox")
    .addColumn("id", postgres ? "bigint" : "integer", (column) =>
      postgres
        ? column.primaryKey().generatedByDefaultAsIdentity()
        : column.primaryKey().autoIncrement(),
    )
    .addColumn("message_id", "text", (column) => column.notNull())
    .addColumn("receiver", "text", (column) => column.notNull())
    .addColumn("stream", "text", (column) => column.notNull())
    .addColumn("type", "text", (column) => column.notNull())
    .addColumn("body", "text", (column) => column.notNull())
    .addColumn("state", "text", (column) => column.notNull().defaultTo("waiting"))
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("attempts", "integer", (column) => column.notNull().defaultTo(0))
    .addColumn("next_attempt_at", "bigint", (column) => column.notNull())
    .addColumn("give_up_at", "bigint", (column) => column.notNull())
    .addColumn("last_error", "text")
    .addColumn("settled_at", "bigint")
    .execute();
  await db.schema
    .createIndex("outbox_by_turn")
    .on("outbox")
    .columns(["receiver", "state", "stream", "id"])
    .execute();
  await db.schema
    .createIndex("outbox_by_settled_at")
    .on("outbox")
    .columns(["state", "settled_at"])
    .execute();
}
