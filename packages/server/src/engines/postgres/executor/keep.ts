// A table that is kept must not act, and nobody may have rights on it: what is stripped from it before the keeper gets it.

import type { AdminTransaction, Row } from "../admin-connection.ts";
import { quoteName } from "../quote.ts";
import type { Leftover } from "./leftovers.ts";

interface PartRow extends Row {
  readonly kind: "trigger" | "rule" | "policy" | "constraint";
  readonly name: string;
}

/** Foreign keys only where they reach another owner's table: there they act on that table's rows. */
const partsSql = `
SELECT 'trigger' AS kind, t.tgname AS name FROM pg_catalog.pg_trigger t
  WHERE t.tgrelid = $1::int8::oid AND NOT t.tgisinternal
UNION ALL
SELECT 'rule', r.rulename FROM pg_catalog.pg_rewrite r
  WHERE r.ev_class = $1::int8::oid AND r.rulename <> '_RETURN'
UNION ALL
SELECT 'policy', p.polname FROM pg_catalog.pg_policy p WHERE p.polrelid = $1::int8::oid
UNION ALL
SELECT 'constraint', k.conname FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class own ON own.oid = k.conrelid
  JOIN pg_catalog.pg_class other ON other.oid = k.confrelid
  WHERE k.conrelid = $1::int8::oid AND k.contype = 'f' AND own.relowner <> other.relowner`;

const granteesSql: Readonly<Record<string, string>> = {
  relation: `SELECT DISTINCT a.grantee::int8::float8 AS oid, r.rolname AS name FROM (
      SELECT c.relacl AS acl FROM pg_catalog.pg_class c WHERE c.oid = $1::int8::oid
      UNION ALL SELECT c.attacl FROM pg_catalog.pg_attribute c WHERE c.attrelid = $1::int8::oid
    ) o CROSS JOIN LATERAL pg_catalog.aclexplode(o.acl) a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee`,
  schema: `SELECT DISTINCT a.grantee::int8::float8 AS oid, r.rolname AS name FROM pg_catalog.pg_namespace o
    CROSS JOIN LATERAL pg_catalog.aclexplode(o.nspacl) a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
    WHERE o.oid = $1::int8::oid`,
  "large object": `SELECT DISTINCT a.grantee::int8::float8 AS oid, r.rolname AS name
    FROM pg_catalog.pg_largeobject_metadata o
    CROSS JOIN LATERAL pg_catalog.aclexplode(o.lomacl) a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
    WHERE o.oid = $1::int8::oid`,
  type: `SELECT DISTINCT a.grantee::int8::float8 AS oid, r.rolname AS name FROM pg_catalog.pg_type o
    CROSS JOIN LATERAL pg_catalog.aclexplode(o.typacl) a LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
    WHERE o.oid = $1::int8::oid`,
};

/** The statements that leave the object without triggers, rules, policies, foreign reach and grants. */
export async function surrenderStatements(
  transaction: AdminTransaction,
  object: Leftover,
): Promise<readonly string[]> {
  const isTable = object.type === "table" || object.type === "foreign table";
  const parts = isTable ? await transaction.query<PartRow>(partsSql, [object.objid]) : [];
  return [
    ...parts.map(({ kind, name }) => dropPart(kind, name, object.identity)),
    ...(await revokeStatements(transaction, object)),
  ];
}

function dropPart(kind: PartRow["kind"], name: string, table: string): string {
  return kind === "constraint"
    ? `ALTER TABLE ${table} DROP CONSTRAINT ${quoteName(name)}`
    : `DROP ${kind.toUpperCase()} ${quoteName(name)} ON ${table}`;
}

async function revokeStatements(
  transaction: AdminTransaction,
  { type, identity, objid }: Leftover,
): Promise<readonly string[]> {
  const isRelation = ["table", "foreign table", "sequence"].includes(type);
  const sql = granteesSql[isRelation ? "relation" : type];
  if (sql === undefined) {
    return [];
  }
  const grantees = await transaction.query<{ oid: number; name: string | null }>(sql, [objid]);
  const word = isRelation ? (type === "sequence" ? "SEQUENCE" : "TABLE") : type.toUpperCase();
  return grantees
    .filter(({ oid, name }) => oid === 0 || name !== null)
    .map(
      ({ name }) =>
        `REVOKE ALL ON ${word} ${identity} FROM ${name === null ? "PUBLIC" : quoteName(name)} CASCADE`,
    );
}
