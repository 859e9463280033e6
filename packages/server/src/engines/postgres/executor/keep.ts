// A table that is kept must not act, and nobody may have rights on it: what is stripped from it before the keeper gets it.

import type { AdminTransaction, Row } from "../admin-connection.ts";
import { keeperRole } from "../group-roles.ts";
import { quoteName } from "../quote.ts";
import type { Leftover } from "./leftovers.ts";

interface PartRow extends Row {
  readonly kind: "trigger" | "rule" | "policy" | "constraint";
  readonly name: string;
}

/** Sequences that belong to a table change hands with it, privileges and all. */
const ownSequencesSql = `
SELECT 'sequence' AS type, i.identity, d.objid::int8::float8 AS objid
FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'
CROSS JOIN LATERAL pg_catalog.pg_identify_object(d.classid, d.objid, 0) i
WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = d.classid
  AND d.refobjid = $1::int8::oid AND d.deptype IN ('a', 'i')`;

/** What turns values of a type into others by itself, and what fills a domain that nothing is said about. */
const typePartsSql = `
SELECT 'DROP CAST ' || i.identity AS statement FROM pg_catalog.pg_cast c
  CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_cast'::pg_catalog.regclass, c.oid, 0) i
  WHERE $1::int8::oid IN (c.castsource, c.casttarget) AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_cast'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'i')
UNION ALL
SELECT 'ALTER DOMAIN ' || i.identity || ' DROP DEFAULT' FROM pg_catalog.pg_type t
  CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_type'::pg_catalog.regclass, t.oid, 0) i
  WHERE t.oid = $1::int8::oid AND t.typtype = 'd' AND t.typdefault IS NOT NULL`;

/**
 * Foreign keys only where they reach a stranger's table: there they act on that table's rows. What a partition has from its
 * parent goes with the parent's.
 */
const partsSql = `
SELECT 'trigger' AS kind, t.tgname AS name FROM pg_catalog.pg_trigger t
  WHERE t.tgrelid = $1::int8::oid AND NOT t.tgisinternal AND t.tgparentid = 0
UNION ALL
SELECT 'rule', r.rulename FROM pg_catalog.pg_rewrite r
  WHERE r.ev_class = $1::int8::oid AND r.rulename <> '_RETURN'
UNION ALL
SELECT 'policy', p.polname FROM pg_catalog.pg_policy p WHERE p.polrelid = $1::int8::oid
UNION ALL
SELECT 'constraint', k.conname FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class own ON own.oid = k.conrelid
  JOIN pg_catalog.pg_class other ON other.oid = k.confrelid
  WHERE k.conrelid = $1::int8::oid AND k.contype = 'f' AND k.conparentid = 0 AND own.relowner <> other.relowner
    AND other.relowner <> (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = $2)`;

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

/** The statements that leave the object without triggers, rules, policies, casts, foreign reach and grants. */
export async function surrenderStatements(
  transaction: AdminTransaction,
  object: Leftover,
): Promise<readonly string[]> {
  const parts = await partStatements(transaction, object);
  const sequences =
    object.type === "table"
      ? await transaction.query<Grantable>(ownSequencesSql, [object.objid])
      : [];
  const statements = [...parts];
  for (const one of [...sequences, object]) {
    statements.push(...(await revokeStatements(transaction, one)));
  }
  return statements;
}

type Grantable = Pick<Leftover, "type" | "identity" | "objid"> & Row;

async function partStatements(
  transaction: AdminTransaction,
  { type, identity, objid }: Leftover,
): Promise<readonly string[]> {
  switch (type) {
    case "table": {
      const parts = await transaction.query<PartRow>(partsSql, [objid, keeperRole]);
      return parts.map(({ kind, name }) => dropPart(kind, name, identity));
    }
    case "type": {
      const parts = await transaction.query<{ statement: string }>(typePartsSql, [objid]);
      return parts.map(({ statement }) => statement);
    }
    default:
      return [];
  }
}

function dropPart(kind: PartRow["kind"], name: string, table: string): string {
  return kind === "constraint"
    ? `ALTER TABLE ${table} DROP CONSTRAINT ${quoteName(name)}`
    : `DROP ${kind.toUpperCase()} ${quoteName(name)} ON ${table}`;
}

async function revokeStatements(
  transaction: AdminTransaction,
  { type, identity, objid }: Grantable,
): Promise<readonly string[]> {
  const isRelation = type === "table" || type === "sequence";
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
