// The first tables. Times are epoch milliseconds (bigint), everything else is text or a small number, so that SQLite and
// PostgreSQL take the same statements.

import { type Kysely, SqliteAdapter, sql } from "kysely";
import type { Tables } from "../tables.ts";

export async function up(db: Kysely<Tables>): Promise<void> {
  await createPeople(db);
  await createAccess(db);
  await createUsersAndSessions(db);
  await createAudit(db);
  await createOauth(db);
}

async function createPeople(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable("settings")
    .addColumn("key", "text", (column) => column.primaryKey())
    .addColumn("value", "text", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("people")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("name", "text", (column) => column.notNull().unique())
    .addColumn("password_hash", "text")
    .addColumn("setup_token_hash", "text")
    .addColumn("setup_expires_at", "bigint")
    .addColumn("disabled_at", "bigint")
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("memberships")
    .addColumn("person_id", "text", (column) => column.notNull().references("people.id"))
    .addColumn("group_name", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("memberships_key", ["person_id", "group_name"])
    .execute();
  await db.schema
    .createTable("devices")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("person_id", "text", (column) => column.notNull().references("people.id"))
    .addColumn("label", "text", (column) => column.notNull())
    .addColumn("first_address", "text", (column) => column.notNull())
    .addColumn("first_seen_at", "bigint", (column) => column.notNull())
    .addColumn("confirmed_at", "bigint")
    .addColumn("confirmed_by", "text", (column) => column.references("people.id"))
    .addColumn("revoked_at", "bigint")
    .execute();
}

async function createAccess(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable("requests")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("person_id", "text", (column) => column.notNull().references("people.id"))
    .addColumn("device_id", "text", (column) => column.notNull().references("devices.id"))
    .addColumn("database_name", "text", (column) => column.notNull())
    .addColumn("profile", "text", (column) => column.notNull())
    .addColumn("duration_ms", "bigint", (column) => column.notNull())
    .addColumn("reason", "text", (column) => column.notNull())
    .addColumn("state", "text", (column) => column.notNull())
    .addColumn("policy", "text", (column) => column.notNull())
    .addColumn("approvals_needed", "integer", (column) => column.notNull())
    .addColumn("approver_groups", "text", (column) => column.notNull())
    .addColumn("digest", "text", (column) => column.notNull())
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("lapses_at", "bigint", (column) => column.notNull())
    .addColumn("decided_at", "bigint")
    .addColumn("decided_by", "text", (column) => column.references("people.id"))
    .addColumn("decision_reason", "text")
    .execute();
  await createIndex(db, "requests", ["person_id", "created_at", "id"]);
  await createIndex(db, "requests", ["state", "lapses_at"]);
  // The same request waits once, whatever races.
  await db.schema
    .createIndex("requests_waiting")
    .unique()
    .on("requests")
    .column("digest")
    .where(sql<boolean>`state = 'pending'`)
    .execute();
  await db.schema
    .createTable("approvals")
    .addColumn("request_id", "text", (column) => column.notNull().references("requests.id"))
    .addColumn("person_id", "text", (column) => column.notNull().references("people.id"))
    .addColumn("digest", "text", (column) => column.notNull())
    .addColumn("duration_ms", "bigint", (column) => column.notNull())
    .addColumn("comment", "text", (column) => column.notNull())
    .addColumn("at", "bigint", (column) => column.notNull())
    // One person counts once, whatever races.
    .addPrimaryKeyConstraint("approvals_key", ["request_id", "person_id"])
    .execute();
  await db.schema
    .createTable("grants")
    .addColumn("id", "text", (column) => column.primaryKey())
    // One request gives one grant at the most, whatever races.
    .addColumn("request_id", "text", (column) =>
      column.notNull().unique().references("requests.id"),
    )
    .addColumn("person_id", "text", (column) => column.notNull().references("people.id"))
    .addColumn("device_id", "text", (column) => column.notNull().references("devices.id"))
    .addColumn("database_name", "text", (column) => column.notNull())
    .addColumn("profile", "text", (column) => column.notNull())
    .addColumn("starts_at", "bigint", (column) => column.notNull())
    .addColumn("ends_at", "bigint", (column) => column.notNull())
    .addColumn("state", "text", (column) => column.notNull())
    .addColumn("end", "text")
    .addColumn("ended_at", "bigint")
    .addColumn("ended_by", "text", (column) => column.references("people.id"))
    .addColumn("end_reason", "text")
    .execute();
  await createIndex(db, "grants", ["person_id", "starts_at", "id"]);
  await createIndex(db, "grants", ["state", "ends_at"]);
}

async function createUsersAndSessions(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable("ephemeral_users")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("grant_id", "text", (column) => column.notNull().references("grants.id"))
    .addColumn("database_name", "text", (column) => column.notNull())
    .addColumn("user_name", "text", (column) => column.notNull().unique())
    .addColumn("profile", "text", (column) => column.notNull())
    .addColumn("generation", "integer", (column) => column.notNull())
    .addColumn("key_id", "text", (column) => column.notNull())
    .addColumn("oid", "bigint")
    .addColumn("state", "text", (column) => column.notNull())
    .addColumn("valid_until", "bigint", (column) => column.notNull())
    .addColumn("end_due_at", "bigint")
    .addColumn("attempts", "integer", (column) => column.notNull())
    .addColumn("next_attempt_at", "bigint", (column) => column.notNull())
    .addColumn("leased_by", "text")
    .addColumn("leased_until", "bigint", (column) => column.notNull())
    .addColumn("last_error", "text")
    .addColumn("remedy_sql", "text")
    .addColumn("created_at", "bigint", (column) => column.notNull())
    .addColumn("dropped_at", "bigint")
    .execute();
  await createIndex(db, "ephemeral_users", ["grant_id"]);
  await createIndex(db, "ephemeral_users", ["state", "next_attempt_at"]);
  await db.schema
    .createTable("sessions")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("grant_id", "text", (column) => column.notNull().references("grants.id"))
    .addColumn("person_id", "text", (column) => column.notNull().references("people.id"))
    .addColumn("device_id", "text", (column) => column.notNull().references("devices.id"))
    .addColumn("database_name", "text", (column) => column.notNull())
    .addColumn("profile", "text", (column) => column.notNull())
    .addColumn("user_name", "text", (column) => column.notNull())
    .addColumn("address", "text", (column) => column.notNull())
    .addColumn("application", "text", (column) => column.notNull())
    .addColumn("backend_pid", "bigint")
    .addColumn("opened_at", "bigint", (column) => column.notNull())
    .addColumn("closed_at", "bigint")
    .addColumn("end", "text")
    .addColumn("statements", "bigint", (column) => column.notNull())
    .execute();
  await createIndex(db, "sessions", ["grant_id", "closed_at"]);
  await createIndex(db, "sessions", ["opened_at", "id"]);
}

async function createAudit(db: Kysely<Tables>): Promise<void> {
  // Ids of the outbox are never used twice, also after it was emptied: they make "at least once" recognisable.
  // Counting up is the one thing that the two databases spell differently.
  const sqlite = db.getExecutor().adapter instanceof SqliteAdapter;
  await db.schema
    .createTable("audit_outbox")
    .addColumn("id", sqlite ? "integer" : "bigint", (column) =>
      sqlite
        ? column.primaryKey().autoIncrement()
        : column.primaryKey().generatedByDefaultAsIdentity(),
    )
    .addColumn("event", "text", (column) => column.notNull())
    .execute();
  await db.schema
    .createTable("audit_records")
    .addColumn("journal", "text", (column) => column.notNull())
    .addColumn("seq", "bigint", (column) => column.notNull())
    .addColumn("at", "bigint", (column) => column.notNull())
    .addColumn("kind", "text", (column) => column.notNull())
    .addColumn("person", "text")
    .addColumn("database_name", "text")
    .addColumn("grant_id", "text")
    .addColumn("session_id", "text")
    .addColumn("line", "text", (column) => column.notNull())
    .addPrimaryKeyConstraint("audit_records_key", ["journal", "seq"])
    .execute();
  await createIndex(db, "audit_records", ["person", "seq"]);
  await createIndex(db, "audit_records", ["database_name", "seq"]);
  await createIndex(db, "audit_records", ["grant_id", "seq"]);
  await createIndex(db, "audit_records", ["session_id", "seq"]);
}

async function createOauth(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable("oauth_artifacts")
    .addColumn("model", "text", (column) => column.notNull())
    .addColumn("id", "text", (column) => column.notNull())
    .addColumn("payload", "text", (column) => column.notNull())
    .addColumn("grant_id", "text")
    .addColumn("user_code", "text")
    .addColumn("uid", "text")
    .addColumn("expires_at", "bigint")
    .addColumn("consumed_at", "bigint")
    .addPrimaryKeyConstraint("oauth_artifacts_key", ["model", "id"])
    .execute();
  await createIndex(db, "oauth_artifacts", ["grant_id"]);
  await createIndex(db, "oauth_artifacts", ["user_code"]);
  await createIndex(db, "oauth_artifacts", ["uid"]);
  await createIndex(db, "oauth_artifacts", ["expires_at"]);
  await db.schema
    .createTable("used_proofs")
    .addColumn("id", "text", (column) => column.primaryKey())
    .addColumn("expires_at", "bigint", (column) => column.notNull())
    .execute();
  await createIndex(db, "used_proofs", ["expires_at"]);
}

async function createIndex(db: Kysely<Tables>, table: string, columns: string[]): Promise<void> {
  await db.schema
    .createIndex(`${table}_by_${columns.join("_")}`)
    .on(table)
    .columns(columns)
    .execute();
}
