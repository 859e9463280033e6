// Invariant 33: what a profile's roles have in every database of the cluster, so that what a grant adds can be told
// afterwards. Starts from pg_shdepend, which names them all: nothing here reads a whole catalogue.

import pg from "pg";
import type { Snapshot, SnapshotEntry } from "../../../credentials/traces.ts";
import type { AdminConnection, Row } from "../admin-connection.ts";
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
  /** Which of the queries has found it. */
  readonly query: number;
  readonly kind: string;
  readonly identity: string;
  readonly owner: string | null;
  readonly detail: string | null;
  readonly definition: string | null;
  readonly undo: string | null;
}

interface Surroundings extends Row {
  readonly roles: readonly string[];
  readonly databases: readonly { readonly name: string; readonly connectable: boolean }[] | null;
}

/** The roles, with those that they are members of where that is asked for, and the other databases in which they have something. */
const surroundingsSql = `
WITH RECURSIVE closure (oid) AS (
  SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = ANY ($1::text[])
  UNION
  SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN closure c ON m.member = c.oid WHERE $2::bool
), others AS (
  SELECT DISTINCT d.datname::text AS name,
    d.datallowconn AND pg_catalog.has_database_privilege(d.oid, 'CONNECT') AS connectable
  FROM pg_catalog.pg_shdepend s JOIN closure c ON c.oid = s.refobjid JOIN pg_catalog.pg_database d ON d.oid = s.dbid
  WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.datname <> pg_catalog.current_database()
  ORDER BY name LIMIT $3
)
SELECT (SELECT pg_catalog.array_agg(r.rolname::text) FROM closure c JOIN pg_catalog.pg_roles r ON r.oid = c.oid) AS roles,
  (SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(o)) FROM others o) AS databases`;

/**
 * What a grant on the group's profile can change: things of the group, of those that it is a member of, and of the keeper.
 * @throws JitdbError `database.unavailable`, `database.misconfigured`; what a database refuses becomes a gap
 */
export async function snapshotOfGroup(
  connection: AdminConnection,
  home: string,
  group: string,
): Promise<FoundSnapshot> {
  return await takeSnapshot(connection, home, [group, keeperRole], true);
}

/** Another snapshot of the same roles. @throws as {@link snapshotOfGroup} */
export async function snapshotOfRoles(
  connection: AdminConnection,
  home: string,
  roles: readonly string[],
): Promise<FoundSnapshot> {
  return await takeSnapshot(connection, home, roles, false);
}

async function takeSnapshot(
  connection: AdminConnection,
  home: string,
  ofRoles: readonly string[],
  withMemberships: boolean,
): Promise<FoundSnapshot> {
  const gaps: string[] = [];
  const [around] = await refusable(gaps, "roles and databases of the cluster", () =>
    connection.query<Surroundings>(surroundingsSql, [
      ofRoles,
      withMemberships,
      snapshotLimits.databases + 1,
    ]),
  );
  const roles = around?.roles ?? ofRoles;
  const others = around?.databases ?? [];
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
    gaps.push(`There are more than ${snapshotLimits.entries} things to compare.`);
  }
  return { roles, entries: entries.slice(0, snapshotLimits.entries), gaps };
}

/** All in one query; where that is refused, one after the other, so that one which fails costs only its own part. */
async function lookInto(
  connection: AdminConnection,
  database: string,
  roles: readonly string[],
  isHome: boolean,
  gaps: string[],
): Promise<FoundEntry[]> {
  const queries = [...snapshotQueries.entries()].filter(
    ([, { wholeCluster }]) => isHome || !wholeCluster,
  );
  const numbered = queries.map(
    ([query, { sql }]) => `SELECT ${query} AS query, q.* FROM (${sql}) q`,
  );
  const read = (sql: string) =>
    connection.transaction(
      (transaction) =>
        transaction.query<EntryRow>(sql, [roles, isHome, snapshotLimits.rowsPerQuery + 1]),
      database,
    );
  let rows: readonly EntryRow[];
  try {
    rows = await read(numbered.join("\nUNION ALL\n"));
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) {
      throw error;
    }
    const parts: (readonly EntryRow[])[] = [];
    for (const [index, [, { what }]] of queries.entries()) {
      const sql = numbered[index] ?? "";
      parts.push(await refusable(gaps, `${what} in ${database}`, () => read(sql)));
    }
    rows = parts.flat();
  }
  return queries.flatMap(([query, { what, wholeCluster }]) => {
    const found = rows.filter((row) => row.query === query);
    const most = snapshotLimits.rowsPerQuery;
    if (found.length > most) {
      gaps.push(`Of the ${what} in ${database} only the newest ${most} were compared.`);
    }
    return found.slice(0, most).map((row) => toEntry(row, wholeCluster ? null : database));
  });
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
