// Invariant 32: what a role may do through all roles that it is a member of, and which of that no grant may have.

import { JitdbError } from "@jitdb/shared/errors";
import type { ProfileConfig } from "../../../config/config.ts";
import type { AdminQueries, Row } from "../admin-connection.ts";
import { keeperRole } from "../group-roles.ts";

interface ClosureRow extends Row {
  readonly name: string;
  readonly attributes: readonly string[];
}

const closureSql = `
WITH RECURSIVE closure (oid) AS (
  SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = $1
  UNION
  SELECT m.roleid FROM pg_catalog.pg_auth_members m JOIN closure c ON m.member = c.oid
)
SELECT r.rolname AS name,
  pg_catalog.array_remove(ARRAY[
    CASE WHEN r.rolsuper THEN 'superuser' END,
    CASE WHEN r.rolcreaterole THEN 'createrole' END,
    CASE WHEN r.rolcreatedb THEN 'createdb' END,
    CASE WHEN r.rolreplication THEN 'replication' END,
    CASE WHEN r.rolbypassrls THEN 'bypassrls' END,
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datdba = r.oid)
      THEN 'database_owner' END,
    CASE WHEN pg_catalog.starts_with(r.rolname, 'pg_') OR r.rolname = $2 THEN r.rolname::text END
  ], NULL) AS attributes
FROM closure c JOIN pg_catalog.pg_roles r ON r.oid = c.oid
ORDER BY r.rolname`;

/**
 * What of a role's closure is forbidden, such as `superuser (through boss)`; empty when it is safe.
 * Memberships count whatever their options: ADMIN alone is enough to give oneself the rest.
 * @param allowed attributes and predefined roles that the configuration names
 */
export async function findForbidden(
  queries: AdminQueries,
  role: string,
  allowed: readonly string[],
): Promise<readonly string[]> {
  const rows = await queries.query<ClosureRow>(closureSql, [role, keeperRole], "closure");
  return rows.flatMap(({ name, attributes }) =>
    attributes
      .filter((attribute) => !allowed.includes(attribute))
      .map((attribute) => (attribute === name ? name : `${attribute} (through ${name})`)),
  );
}

/** @throws JitdbError `database.unsafe_profile` */
export async function refuseForbidden(
  queries: AdminQueries,
  role: string,
  profile: ProfileConfig,
): Promise<void> {
  const forbidden = await findForbidden(queries, role, profile.allowPrivileges);
  if (forbidden.length > 0) {
    throw new JitdbError(
      "database.unsafe_profile",
      `The profile ${profile.name} holds more than a grant may give.`,
      { detail: `${role} holds ${forbidden.join(", ")}` },
    );
  }
}
