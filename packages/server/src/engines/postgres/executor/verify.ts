// Looks whether anything is left of a user, by its name and by its role's number, which outlives the name.

import type { Obstacle, StepResult, UserRef } from "../../../credentials/executor.ts";
import type { AdminConnection, Row } from "../admin-connection.ts";
import { quoteLiteral, quoteName } from "../quote.ts";

interface RestRow extends Row {
  readonly kind: "role" | "session" | "prepared" | "dependency";
  readonly name: string;
  readonly database: string | null;
}

const restSql = `
SELECT 'role' AS kind, r.rolname::text AS name, NULL AS database
  FROM pg_catalog.pg_roles r WHERE r.rolname = $1
UNION ALL
SELECT 'session', a.pid::text, a.datname
  FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = $2::int8::oid
UNION ALL
SELECT 'prepared', p.gid, d.datname
  FROM pg_catalog.pg_prepared_xact() p JOIN pg_catalog.pg_database d ON d.oid = p.dbid
  WHERE p.ownerid = $2::int8::oid
UNION ALL
SELECT DISTINCT 'dependency', coalesce(d.datname, ''), d.datname
  FROM pg_catalog.pg_shdepend s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid
  WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $2::int8::oid`;

export async function verifyGone(
  connection: AdminConnection,
  database: string,
  user: UserRef,
): Promise<StepResult> {
  // No role has the number 0.
  const rows = await connection.query<RestRow>(restSql, [user.name, user.oid ?? 0]);
  return { did: [], obstacles: rows.map((row) => toObstacle(row, database, user.name)) };
}

function toObstacle(row: RestRow, home: string, user: string): Obstacle {
  const remedy = (statement: string) => ({
    database: row.database ?? home,
    statements: [statement],
  });
  switch (row.kind) {
    case "role":
      return { message: `${user} is still there.`, remedy: remedy(`DROP ROLE ${quoteName(user)}`) };
    case "session":
      return {
        message: `The session ${row.name} of ${user} is still there.`,
        remedy: remedy(`SELECT pg_catalog.pg_terminate_backend(${Number(row.name)})`),
      };
    case "prepared":
      return {
        message: `The prepared transaction ${quoteLiteral(row.name)} of ${user} is still there.`,
        remedy: remedy(`ROLLBACK PREPARED ${quoteLiteral(row.name)}`),
      };
    case "dependency":
      return {
        message: `Something in ${row.database ?? "the cluster"} still depends on ${user}.`,
        remedy: remedy(`DROP OWNED BY ${quoteName(user)}`),
      };
  }
}
