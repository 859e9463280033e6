// A grant can change what belongs to the roles that it is a member of: their default privileges on every version, their
// settings by SET ROLE before 16. Both of ours have neither after their set-up, so the end of every grant takes both away.

import type { StepResult } from "../../../credentials/executor.ts";
import type { AdminConnection, AdminTransaction, Row } from "../admin-connection.ts";
import { quoteName } from "../quote.ts";
import { attempt, joinResults } from "./attempt.ts";

interface ChangeRow extends Row {
  readonly kind: "settings" | "default privileges";
  /** Null: settings for all databases. */
  readonly database: string | null;
}

const changesSql = `
WITH found AS (
  SELECT 'settings' AS kind, s.setdatabase AS database
    FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole WHERE r.rolname = $1
  UNION
  SELECT 'default privileges', s.dbid FROM pg_catalog.pg_shdepend s JOIN pg_catalog.pg_roles r ON r.oid = s.refobjid
    WHERE r.rolname = $1 AND s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
      AND s.classid = 'pg_catalog.pg_default_acl'::pg_catalog.regclass AND s.deptype = 'o'
)
SELECT f.kind, d.datname AS database
FROM found f LEFT JOIN pg_catalog.pg_database d ON d.oid = f.database
WHERE f.kind = 'settings' OR d.datallowconn AND pg_catalog.has_database_privilege(d.oid, 'CONNECT')`;

/**
 * What a group owns is not among it: objects do not tell which grant made them. Neither does any of this keep a user from
 * being gone; what stays is found by the comparison that follows each end.
 */
export async function restoreGroup(
  connection: AdminConnection,
  group: string,
  home: string,
): Promise<StepResult> {
  const changes = await connection.query<ChangeRow>(changesSql, [group]);
  const results: StepResult[] = [];
  for (const { kind, database } of changes) {
    const isSettings = kind === "settings";
    const place = isSettings ? home : (database ?? home);
    // What a superuser would run if the admin is refused; narrowed down as soon as it is known.
    let statements: readonly string[] = isSettings ? [resetStatement(group, database)] : [];
    const where = database === null ? "" : ` in ${database}`;
    results.push(
      await attempt({
        what: `take back the ${kind} of ${group}${where}`,
        remedy: () => ({ database: place, statements }),
        work: () =>
          connection.transaction(async (transaction) => {
            statements = isSettings ? statements : await revokeStatements(transaction, group);
            for (const statement of statements) {
              await transaction.query(statement);
            }
            return statements.length === 0 ? [] : [`took back the ${kind} of ${group}${where}`];
          }, place),
      }),
    );
  }
  return joinResults(results);
}

function resetStatement(group: string, database: string | null): string {
  const place = database === null ? "" : ` IN DATABASE ${quoteName(database)}`;
  return `ALTER ROLE ${quoteName(group)}${place} RESET ALL`;
}

interface DefaultRow extends Row {
  readonly schema: string | null;
  readonly kind: string;
  /** Null: PUBLIC. */
  readonly grantees: readonly (string | null)[];
}

/** PostgreSQL manual, pg_default_acl: the letter of each kind, and what PUBLIC has of it where nobody said otherwise. */
const defaultKinds: Readonly<Record<string, { name: string; toPublic?: string }>> = {
  r: { name: "TABLES" },
  S: { name: "SEQUENCES" },
  f: { name: "FUNCTIONS", toPublic: "EXECUTE" },
  T: { name: "TYPES", toPublic: "USAGE" },
  n: { name: "SCHEMAS" },
  L: { name: "LARGE OBJECTS" },
};

/** Back to what PostgreSQL has built in, where the entry vanishes. */
async function revokeStatements(
  transaction: AdminTransaction,
  group: string,
): Promise<readonly string[]> {
  const rows = await transaction.query<DefaultRow>(
    `SELECT n.nspname AS schema, d.defaclobjtype::text AS kind,
       ARRAY(SELECT DISTINCT g.rolname::text FROM pg_catalog.aclexplode(d.defaclacl) a
         LEFT JOIN pg_catalog.pg_roles g ON g.oid = a.grantee WHERE a.grantee <> r.oid) AS grantees
     FROM pg_catalog.pg_default_acl d JOIN pg_catalog.pg_roles r ON r.oid = d.defaclrole
     LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
     WHERE r.rolname = $1`,
    [group],
  );
  return rows.flatMap(({ schema, kind, grantees }) => {
    const objects = defaultKinds[kind];
    if (objects === undefined) {
      return [];
    }
    const place = schema === null ? "" : ` IN SCHEMA ${quoteName(schema)}`;
    const alter = `ALTER DEFAULT PRIVILEGES FOR ROLE ${quoteName(group)}${place}`;
    const own = schema === null ? "GRANT ALL" : "REVOKE ALL";
    return [
      ...grantees.map(
        (name) =>
          `${alter} REVOKE ALL ON ${objects.name} FROM ${name === null ? "PUBLIC" : quoteName(name)}`,
      ),
      `${alter} ${own} ON ${objects.name} ${schema === null ? "TO" : "FROM"} ${quoteName(group)}`,
      ...(schema === null && objects.toPublic !== undefined
        ? [`${alter} GRANT ${objects.toPublic} ON ${objects.name} TO PUBLIC`]
        : []),
    ];
  });
}
