// What a role has to do with the objects of one database, read from the catalogue (PostgreSQL manual, pg_shdepend and pg_depend).

import type { AdminTransaction, Row } from "../admin-connection.ts";
import { keeperRole } from "../group-roles.ts";

/** An object that the role owns, or that names it in its privileges or policies. */
export interface Leftover extends Row {
  readonly classid: number;
  readonly objid: number;
  /** How it depends on the role: owned by it, or names it (privileges, policies, …). */
  readonly owned: boolean;
  /** A temporary object that outlived its session, as a crash of the database lets it. */
  readonly temporary: boolean;
  /** Type as PostgreSQL calls it: `table`, `function`, `large object`, … */
  readonly type: string;
  /** Qualified and quoted by PostgreSQL itself. */
  readonly identity: string;
}

const leftoversSql = `
SELECT s.classid::int8::float8 AS classid, s.objid::int8::float8 AS objid, s.deptype = 'o' AS owned,
  i.type, i.identity, coalesce(pg_catalog.starts_with(i.schema, 'pg_temp'), false) AS temporary
FROM pg_catalog.pg_shdepend s
CROSS JOIN LATERAL pg_catalog.pg_identify_object(s.classid, s.objid, 0) i
WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $1::int8::oid
  AND s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
  AND i.identity IS NOT NULL
ORDER BY s.objid DESC`;

/** Newest first: what was built on another thing comes before it. */
export async function findLeftovers(
  transaction: AdminTransaction,
  oid: number,
): Promise<readonly Leftover[]> {
  return await transaction.query<Leftover>(leftoversSql, [oid]);
}

export async function isOwnedBy(
  transaction: AdminTransaction,
  oid: number,
  { classid, objid }: Leftover,
): Promise<boolean> {
  const rows = await transaction.query(
    `SELECT FROM pg_catalog.pg_shdepend s
     WHERE s.classid = $2::int8::oid AND s.objid = $3::int8::oid AND s.refobjid = $1::int8::oid AND s.deptype = 'o'
       AND s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())`,
    [oid, classid, objid],
  );
  return rows.length > 0;
}

/** Databases of the cluster in which something depends on the role; a null name stands for what belongs to the whole cluster. */
export async function findDatabases(
  transaction: AdminTransaction,
  oid: number,
): Promise<readonly { name: string | null; connectable: boolean }[]> {
  return await transaction.query<{ name: string | null; connectable: boolean }>(
    `SELECT DISTINCT d.datname AS name,
       coalesce(d.datallowconn AND pg_catalog.has_database_privilege(d.oid, 'CONNECT'), false) AS connectable
     FROM pg_catalog.pg_shdepend s LEFT JOIN pg_catalog.pg_database d ON d.oid = s.dbid
     WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = $1::int8::oid`,
    [oid],
  );
}

/**
 * Everything that DROP … CASCADE would take along: dependents, and what contains an internal part (a view contains its
 * rule). Triggers, rules, defaults, constraints and policies have no owner of their own; they act and may go.
 */
const inTheWaySql = `
WITH RECURSIVE affected (classid, objid, objsubid) AS (
  SELECT $1::int8::oid, $2::int8::oid, 0
  UNION
  SELECT n.classid, n.objid, n.objsubid FROM affected a CROSS JOIN LATERAL (
    SELECT d.classid, d.objid, d.objsubid FROM pg_catalog.pg_depend d
    WHERE d.refclassid = a.classid AND d.refobjid = a.objid
      AND (a.objsubid = 0 OR d.refobjsubid = a.objsubid)
    UNION ALL
    SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_catalog.pg_depend d
    WHERE d.classid = a.classid AND d.objid = a.objid AND d.objsubid = a.objsubid AND d.deptype = 'i'
  ) n
), owned (classid, objid, objsubid, owner) AS (
  SELECT a.classid, a.objid, a.objsubid,
    CASE a.classid
      WHEN 'pg_catalog.pg_class'::pg_catalog.regclass THEN (SELECT c.relowner FROM pg_catalog.pg_class c WHERE c.oid = a.objid)
      WHEN 'pg_catalog.pg_proc'::pg_catalog.regclass THEN (SELECT p.proowner FROM pg_catalog.pg_proc p WHERE p.oid = a.objid)
      WHEN 'pg_catalog.pg_type'::pg_catalog.regclass THEN (SELECT t.typowner FROM pg_catalog.pg_type t WHERE t.oid = a.objid)
      WHEN 'pg_catalog.pg_namespace'::pg_catalog.regclass THEN (SELECT n.nspowner FROM pg_catalog.pg_namespace n WHERE n.oid = a.objid)
      WHEN 'pg_catalog.pg_operator'::pg_catalog.regclass THEN (SELECT o.oprowner FROM pg_catalog.pg_operator o WHERE o.oid = a.objid)
      WHEN 'pg_catalog.pg_opclass'::pg_catalog.regclass THEN (SELECT o.opcowner FROM pg_catalog.pg_opclass o WHERE o.oid = a.objid)
      WHEN 'pg_catalog.pg_opfamily'::pg_catalog.regclass THEN (SELECT o.opfowner FROM pg_catalog.pg_opfamily o WHERE o.oid = a.objid)
      WHEN 'pg_catalog.pg_collation'::pg_catalog.regclass THEN (SELECT c.collowner FROM pg_catalog.pg_collation c WHERE c.oid = a.objid)
      WHEN 'pg_catalog.pg_conversion'::pg_catalog.regclass THEN (SELECT c.conowner FROM pg_catalog.pg_conversion c WHERE c.oid = a.objid)
      WHEN 'pg_catalog.pg_ts_config'::pg_catalog.regclass THEN (SELECT c.cfgowner FROM pg_catalog.pg_ts_config c WHERE c.oid = a.objid)
      WHEN 'pg_catalog.pg_ts_dict'::pg_catalog.regclass THEN (SELECT t.dictowner FROM pg_catalog.pg_ts_dict t WHERE t.oid = a.objid)
      WHEN 'pg_catalog.pg_foreign_server'::pg_catalog.regclass THEN (SELECT f.srvowner FROM pg_catalog.pg_foreign_server f WHERE f.oid = a.objid)
      WHEN 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass THEN (SELECT s.stxowner FROM pg_catalog.pg_statistic_ext s WHERE s.oid = a.objid)
      WHEN 'pg_catalog.pg_event_trigger'::pg_catalog.regclass THEN (SELECT e.evtowner FROM pg_catalog.pg_event_trigger e WHERE e.oid = a.objid)
    END
  FROM affected a
)
SELECT EXISTS (
  SELECT FROM owned o LEFT JOIN pg_catalog.pg_class c
    ON o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = o.objid
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = o.objsubid AND o.objsubid > 0
  CROSS JOIN (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = $5) keeper
  WHERE o.owner <> $3::int8::oid AND o.owner <> keeper.oid
    OR ($4 OR o.owner = keeper.oid) AND c.relkind IN ('r', 'p') AND coalesce(a.attgenerated, '') = ''
) AS found`;

/**
 * Whether things of other owners would go with an object, or data that is to be kept: tables, and columns whose values
 * nothing computes. False means that CASCADE harms nobody.
 */
export async function findInTheWay(
  transaction: AdminTransaction,
  object: Pick<Leftover, "classid" | "objid">,
  owner: number,
  keepsData: boolean,
): Promise<boolean> {
  const [row] = await transaction.query<{ found: boolean }>(inTheWaySql, [
    object.classid,
    object.objid,
    owner,
    keepsData,
    keeperRole,
  ]);
  return row?.found === true;
}
