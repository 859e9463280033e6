// The other databases of the cluster. A user is a role of all of them: where it may connect and create, the end of its grant has
// to be able to clean up (invariant 33).

import { JitdbError } from "@jitdb/shared/errors";
import type { DatabaseConfig } from "../../../config/config.ts";
import type { Problem } from "../../../credentials/executor.ts";
import type { AdminConnection, AdminTransaction, Row } from "../admin-connection.ts";
import { keeperRole, markerRole } from "../group-roles.ts";
import { quoteName } from "../quote.ts";

export const otherDatabasesLimits = {
  /** Databases that are looked into; the check of a cluster with more says so. */
  databases: 50,
} as const;

interface DatabaseRow extends Row {
  readonly name: string;
  readonly connectable: boolean;
}

const reachableSql = `
SELECT d.datname AS name, pg_catalog.has_database_privilege(d.oid, 'CONNECT') AS connectable
FROM pg_catalog.pg_database d
WHERE d.datallowconn AND d.datname <> pg_catalog.current_database()
  AND EXISTS (SELECT FROM pg_catalog.pg_roles r
    WHERE r.rolname = ANY ($1::text[]) AND pg_catalog.has_database_privilege(r.oid, d.oid, 'CONNECT'))
ORDER BY d.datname`;

/** What the roles of grants may create, and the keeper may not take over. */
const missingSql = `
WITH keeper AS (SELECT (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = $2) AS oid)
SELECT 'GRANT CREATE ON DATABASE ' || pg_catalog.quote_ident(d.datname) AS grant
FROM keeper k, pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
  AND pg_catalog.has_database_privilege(k.oid, d.oid, 'CREATE') IS NOT TRUE
  AND EXISTS (SELECT FROM pg_catalog.pg_roles r
    WHERE r.rolname = ANY ($1::text[]) AND pg_catalog.has_database_privilege(r.oid, d.oid, 'CREATE'))
UNION ALL
SELECT 'GRANT USAGE, CREATE ON SCHEMA ' || pg_catalog.quote_ident(n.nspname)
FROM keeper k, pg_catalog.pg_namespace n WHERE n.nspname !~ '^pg_'
  AND (pg_catalog.has_schema_privilege(k.oid, n.oid, 'USAGE')
    AND pg_catalog.has_schema_privilege(k.oid, n.oid, 'CREATE')) IS NOT TRUE
  AND EXISTS (SELECT FROM pg_catalog.pg_roles r
    WHERE r.rolname = ANY ($1::text[]) AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE'))`;

/** Warnings: a grant's end works without, but what is left there is a person's work. */
export async function inspectOtherDatabases(
  connection: AdminConnection,
  database: DatabaseConfig,
): Promise<readonly Problem[]> {
  const roles = [markerRole, ...Array.from(database.profiles.values(), ({ group }) => group)];
  const others = await connection.query<DatabaseRow>(reachableSql, [roles]);
  const problems: Problem[] = [];
  for (const { name, connectable } of others.slice(0, otherDatabasesLimits.databases)) {
    const missing = connectable ? await findMissing(connection, name, roles) : undefined;
    problems.push(...toProblem(name, database.admin.user, missing));
  }
  const passedOver = others.length - otherDatabasesLimits.databases;
  return passedOver <= 0
    ? problems
    : [
        ...problems,
        {
          severity: "warning",
          message: `${passedOver} more databases of the cluster let the users of grants in and were not looked into.`,
          fix: "REVOKE CONNECT ON DATABASE … FROM PUBLIC; where nobody has to get in without a right of its own.",
        },
      ];
}

/** Undefined: the admin role is not let in after all. */
async function findMissing(
  connection: AdminConnection,
  database: string,
  roles: readonly string[],
): Promise<readonly string[] | undefined> {
  const look = async (transaction: AdminTransaction) =>
    await transaction.query<{ grant: string }>(missingSql, [roles, keeperRole]);
  try {
    return (await connection.transaction(look, database)).map((row) => row.grant);
  } catch (error) {
    if (!(error instanceof JitdbError)) {
      throw error;
    }
    return undefined;
  }
}

function toProblem(
  name: string,
  admin: string,
  missing: readonly string[] | undefined,
): readonly Problem[] {
  if (missing === undefined) {
    return [
      {
        severity: "warning",
        message: `The database ${name} of the same cluster lets the users of grants in, but not the admin role, which could not clean up there.`,
        fix: `REVOKE CONNECT ON DATABASE ${quoteName(name)} FROM PUBLIC; or let ${quoteName(admin)} in.`,
      },
    ];
  }
  if (missing.length === 0) {
    return [];
  }
  const keeper = quoteName(keeperRole);
  return [
    {
      severity: "warning",
      message: `In the database ${name} of the same cluster a grant may create what the keeper cannot take over.`,
      fix: `In ${name}: ${missing.map((grant) => `${grant} TO ${keeper};`).join(" ")} Or keep the users out: REVOKE CONNECT ON DATABASE ${quoteName(name)} FROM PUBLIC;`,
    },
  ];
}
