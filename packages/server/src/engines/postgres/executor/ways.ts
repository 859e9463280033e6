// Which profiles can leave traces, and by what (invariant 33): their groups may make objects, own some, or may put
// triggers on other people's tables. Large objects and the group's default privileges are open to every role, so they
// are compared at each end, but make no profile one that leaves traces.

import type { ProfileConfig } from "../../../config/config.ts";
import type { AdminQueries, Row } from "../admin-connection.ts";
import { membershipOptionsSince } from "../group-roles.ts";

interface WaysRow extends Row {
  readonly group: string;
  readonly version: number;
  readonly schemas: readonly string[] | null;
  readonly database: boolean;
  readonly owns: boolean;
  readonly triggers: boolean;
}

const waysSql = `
SELECT g.rolname AS "group", pg_catalog.current_setting('server_version_num')::int AS version,
  (SELECT pg_catalog.array_agg(n.nspname::text ORDER BY n.nspname) FROM pg_catalog.pg_namespace n
    WHERE NOT pg_catalog.starts_with(n.nspname, 'pg_') AND n.nspname <> 'information_schema'
      AND pg_catalog.has_schema_privilege(g.oid, n.oid, 'CREATE')) AS schemas,
  pg_catalog.has_database_privilege(g.oid, pg_catalog.current_database(), 'CREATE') AS database,
  EXISTS (SELECT FROM pg_catalog.pg_shdepend s WHERE s.refobjid = g.oid AND s.deptype = 'o'
    AND s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
    AND s.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass) AS owns,
  EXISTS (SELECT FROM pg_catalog.pg_class c CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a
    WHERE a.grantee IN (0, g.oid) AND a.privilege_type = 'TRIGGER' AND c.relowner <> g.oid) AS triggers
FROM pg_catalog.pg_roles g WHERE g.rolname = ANY ($1::text[])`;

/** By profile: each completes "A grant …"; empty: it leaves nothing but data in other people's tables. */
export async function findWays(
  queries: AdminQueries,
  profiles: readonly Pick<ProfileConfig, "name" | "group">[],
): Promise<Readonly<Record<string, readonly string[]>>> {
  const groups = profiles.map(({ group }) => group);
  const rows = await queries.query<WaysRow>(waysSql, [groups]);
  return Object.fromEntries(
    profiles.map(({ name, group }) => [name, waysOf(rows.find((row) => row.group === group))]),
  );
}

function waysOf(row: WaysRow | undefined): readonly string[] {
  if (row === undefined) {
    return [];
  }
  const ways = [
    ...(row.schemas === null ? [] : [`can make objects in ${row.schemas.join(", ")}`]),
    ...(row.database ? ["can make schemas"] : []),
    ...(row.owns ? [`can change what ${row.group} owns`] : []),
    ...(row.triggers ? ["can put triggers on other people's tables"] : []),
  ];
  return ways.length > 0 && row.version < membershipOptionsSince
    ? [...ways, `can act as ${row.group}, so that its end does not show what it made`]
    : ways;
}
