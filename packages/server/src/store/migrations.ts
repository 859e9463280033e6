// Brings a store's tables up to this server's version: forward only, numbered, each step in a transaction of its own.

import { JitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import { type Kysely, sql } from "kysely";
import { up as first } from "./migrations/0001-first.ts";
import { up as drain } from "./migrations/0002-drain.ts";
import { up as traces } from "./migrations/0003-traces.ts";
import { up as rules } from "./migrations/0004-rules.ts";
import { up as identity } from "./migrations/0005-identity.ts";
import { up as outbox } from "./migrations/0006-outbox.ts";
import { up as terms } from "./migrations/0007-terms.ts";
import type { Tables } from "./tables.ts";

interface Migration {
  readonly name: string;
  /** Runs on SQLite and PostgreSQL alike. */
  readonly up: (tx: Kysely<Tables>) => Promise<void>;
}

/** The version of a store is how many of these it has seen. New ones go to the end; old ones never change. */
const migrations: readonly Migration[] = [
  { name: "first", up: first },
  { name: "drain", up: drain },
  { name: "traces", up: traces },
  { name: "rules", up: rules },
  { name: "identity", up: identity },
  { name: "outbox", up: outbox },
  { name: "terms", up: terms },
];

/**
 * Applies what is missing.
 * @throws JitdbError `store.newer` when the store was written by a later version of the server.
 */
export async function migrate(db: Kysely<Tables>, clock: Clock): Promise<void> {
  await sql`create table if not exists migrations (
    version integer primary key, name text not null, applied_at bigint not null)`.execute(db);
  const version = await currentVersion(db);
  if (version > migrations.length) {
    throw new JitdbError(
      "store.newer",
      `The store has version ${version}; this server knows versions up to ${migrations.length}.`,
    );
  }
  for (const [index, migration] of migrations.entries()) {
    if (index >= version) {
      await apply(db, index + 1, migration, clock);
    }
  }
}

async function currentVersion(db: Kysely<Tables>): Promise<number> {
  const { rows } = await sql<{ version: number | null }>`
    select max(version) as version from migrations`.execute(db);
  return rows[0]?.version ?? 0;
}

async function apply(
  db: Kysely<Tables>,
  version: number,
  { name, up }: Migration,
  clock: Clock,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await up(tx);
    await sql`insert into migrations (version, name, applied_at)
      values (${version}, ${name}, ${clock.now()})`.execute(tx);
  });
}
