// Invariant 33: what a profile's roles have in every database of the cluster, so that what a grant adds can be told
// afterwards. Starts from pg_shdepend, which names them all: nothing here reads a whole catalogue.

import pg from "pg";
import type { Snapshot, SnapshotEntry } from "../../../credentials/traces.ts";
import type { AdminConnection, AdminTransaction, Row } from "../admin-connection.ts";
import { keeperRole } from "../group-roles.ts";
import { snapshotQueries } from "./snapshot-queries.ts";

export const snapshotLimits = {
  /** Rows of one query in one database; the newest are kept. */
  rowsPerQuery: 5000,
  /** Rows of all of them. */
  entries: 20_000,
  /** Databases that are looked into beside the configured one. */
  databases: 20,
} as const;

/** An entry, and the statement that undoes it where the catalogue itself can word it. */
export interface FoundEntry extends SnapshotEntry {
  readonly undo: string | null;
}

export interface FoundSnapshot extends Snapshot {
  readonly entries: readonly FoundEntry[];
}

interface EntryRow extends Row {
  readonly kind: string;
  readonly identity: string;
  readonly owner: string | null;
  readonly detail: string | null;
  readonly definition: string | null;
  readonly undo: string | null;
}

const closureSql = `
WITH RECURSIVE closure (oid) AS (
  SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = $1
  UNION
  SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN closure c ON m.member = c.oid
)
SELECT r.rolname AS name FROM closure c JOIN pg_catalog.pg_roles r ON r.oid = c.oid`;

const databasesSql = `
SELECT DISTINCT d.datname AS name,
  d.datallowconn AND pg_catalog.has_database_privilege(d.oid, 'CONNECT') AS connectable
FROM pg_catalog.pg_shdepend s
JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
JOIN pg_catalog.pg_database d ON d.oid = s.dbid
WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND r.rolname = ANY ($1::text[])
  AND d.datname <> pg_catalog.current_database()
ORDER BY name LIMIT $2`;

/** The roles whose things a grant on the group's profile can change, and which inherit what it leaves. */
export async function rolesOfGroup(
  connection: AdminConnection,
  group: string,
): Promise<readonly string[]> {
  const rows = await connection.transaction((transaction) =>
    transaction.query<{ name: string }>(closureSql, [group]),
  );
  return [...new Set([...rows.map(({ name }) => name), keeperRole])];
}

/** @throws JitdbError `database.unavailable`, `database.misconfigured`; what a database refuses becomes a gap */
export async function takeSnapshot(
  connection: AdminConnection,
  home: string,
  roles: readonly string[],
): Promise<FoundSnapshot> {
  const gaps: string[] = [];
  const others = await refusable(gaps, "databases of the cluster", () =>
    connection.transaction((transaction) =>
      transaction.query<{ name: string; connectable: boolean }>(databasesSql, [
        roles,
        snapshotLimits.databases + 1,
      ]),
    ),
  );
  const entries = await lookInto(connection, home, roles, true, gaps);
  for (const { name, connectable } of others.slice(0, snapshotLimits.databases)) {
    if (connectable) {
      entries.push(...(await lookInto(connection, name, roles, false, gaps)));
    } else {
      gaps.push(`The admin role may not look into the database ${name}.`);
    }
  }
  if (others.length > snapshotLimits.databases) {
    gaps.push(`Only ${snapshotLimits.databases} other databases of the cluster were looked into.`);
  }
  if (entries.length > snapshotLimits.entries) {
    gaps.push(`There is more than ${snapshotLimits.entries} things to compare.`);
  }
  return { roles, entries: entries.slice(0, snapshotLimits.entries), gaps };
}

async function lookInto(
  connection: AdminConnection,
  database: string,
  roles: readonly string[],
  isHome: boolean,
  gaps: string[],
): Promise<FoundEntry[]> {
  const entries: FoundEntry[] = [];
  for (const { what, wholeCluster, sql } of snapshotQueries) {
    if (wholeCluster && !isHome) {
      continue;
    }
    const rows = await refusable(gaps, `${what} in ${database}`, () =>
      connection.transaction(
        (transaction) => readEntries(transaction, sql, roles, isHome),
        database,
      ),
    );
    if (rows.length > snapshotLimits.rowsPerQuery) {
      gaps.push(
        `Of the ${what} in ${database} only the newest ${snapshotLimits.rowsPerQuery} were compared.`,
      );
    }
    for (const row of rows.slice(0, snapshotLimits.rowsPerQuery)) {
      entries.push(toEntry(row, wholeCluster ? null : database));
    }
  }
  return entries;
}

async function readEntries(
  transaction: AdminTransaction,
  sql: string,
  roles: readonly string[],
  isHome: boolean,
): Promise<readonly EntryRow[]> {
  return await transaction.query<EntryRow>(sql, [roles, isHome, snapshotLimits.rowsPerQuery + 1]);
}

/** A grant must not fail because something about it cannot be compared later; that it cannot is said. */
async function refusable<R extends Row>(
  gaps: string[],
  what: string,
  read: () => Promise<readonly R[]>,
): Promise<readonly R[]> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) {
      throw error;
    }
    gaps.push(`The ${what} could not be read: ${error.message}.`);
    return [];
  }
}

function toEntry(row: EntryRow, database: string | null): FoundEntry {
  const { kind, identity, owner, detail, definition, undo } = row;
  return {
    database,
    kind,
    identity,
    owner,
    detail: detail ?? "",
    definition: definition ?? "",
    undo,
  };
}
