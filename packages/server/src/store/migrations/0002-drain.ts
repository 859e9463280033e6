// Soft ends: how long a transaction that runs at the end of its grant may go on.

import type { Kysely } from "kysely";
import type { Tables } from "../tables.ts";

export async function up(db: Kysely<Tables>): Promise<void> {
  for (const table of ["grants", "ephemeral_users"]) {
    await db.schema
      .alterTable(table)
      .addColumn("drain_ms", "bigint", (column) => column.notNull().defaultTo(0))
      .execute();
  }
}
