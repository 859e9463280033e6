// The queries of a snapshot (snapshot.ts). Each takes the roles' names, whether this is the configured database, and the
// largest number of rows; each names what it finds as PostgreSQL itself does, and takes no lock on it.

interface SnapshotQuery {
  /** Completes "the … in orders". */
  readonly what: string;
  /** Read once, in the configured database: what it finds belongs to the whole cluster. */
  readonly wholeCluster: boolean;
  readonly sql: string;
}

const roles = `roles AS (
  SELECT r.oid, r.rolname FROM pg_catalog.pg_roles r WHERE r.rolname = ANY ($1::text[])
), dependents AS (
  SELECT s.classid, s.objid, s.deptype, r.rolname AS owner
  FROM pg_catalog.pg_shdepend s JOIN roles r ON r.oid = s.refobjid
  WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
    AND (s.dbid = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
      OR ($2::bool AND s.dbid = 0))
)`;

/** Objects of the roles, with what code or shape they have. Default privileges are a query of their own. */
const ownedSql = `WITH ${roles}, owned AS (
  SELECT d.classid, d.objid, d.owner FROM dependents d
  WHERE d.deptype = 'o' AND d.classid NOT IN ('pg_catalog.pg_default_acl'::pg_catalog.regclass,
    'pg_catalog.pg_user_mapping'::pg_catalog.regclass)
  ORDER BY d.objid DESC LIMIT $3
)
SELECT i.type AS kind, i.identity, o.owner,
  CASE WHEN p.prosecdef THEN 'SECURITY DEFINER' END AS detail,
  CASE WHEN p.oid IS NOT NULL THEN pg_catalog.md5(pg_catalog.concat_ws('|', p.prosrc, p.probin, p.prosecdef,
      p.proconfig, p.prolang, pg_catalog.pg_get_function_sqlbody(p.oid)))
    WHEN c.oid IS NOT NULL THEN pg_catalog.md5(pg_catalog.concat_ws('|', c.relkind, c.relrowsecurity, c.relforcerowsecurity,
      c.reloptions,
      (SELECT pg_catalog.string_agg(a.attname || ' ' || a.atttypid || ' ' || a.atttypmod || ' ' || a.attnotnull, ','
         ORDER BY a.attnum)
       FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
      (SELECT w.ev_action::text FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid AND w.rulename = '_RETURN')))
  END AS definition,
  NULL AS undo
FROM owned o
CROSS JOIN LATERAL pg_catalog.pg_identify_object(o.classid, o.objid, 0) i
LEFT JOIN pg_catalog.pg_proc p ON o.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND p.oid = o.objid
LEFT JOIN pg_catalog.pg_class c ON o.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND c.oid = o.objid
WHERE i.identity IS NOT NULL`;

/** REVOKE's word for what \`pg_identify_object\` calls otherwise. */
const revokeWord = `CASE WHEN i.type IN ('view', 'materialized view', 'foreign table', 'table column', 'view column') THEN 'TABLE'
  WHEN i.type IN ('function', 'procedure', 'aggregate') THEN 'ROUTINE'
  WHEN i.type = 'server' THEN 'FOREIGN SERVER' ELSE pg_catalog.upper(i.type) END`;

/**
 * Privileges that one of the roles gave to somebody else. Whoever grants in the name of a role stands in the catalogue as
 * that role, so what a DBA grants to the group is not among them.
 */
const privilegesSql = `WITH ${roles}, named AS (
  SELECT DISTINCT d.classid, d.objid FROM dependents d WHERE d.deptype IN ('o', 'a')
), acls (classid, objid, objsubid, acl) AS (
  SELECT n.classid, n.objid, 0, c.relacl FROM named n JOIN pg_catalog.pg_class c ON c.oid = n.objid
    WHERE n.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
  UNION ALL SELECT n.classid, n.objid, a.attnum, a.attacl FROM named n JOIN pg_catalog.pg_attribute a ON a.attrelid = n.objid
    WHERE n.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND a.attacl IS NOT NULL
  UNION ALL SELECT n.classid, n.objid, 0, p.proacl FROM named n JOIN pg_catalog.pg_proc p ON p.oid = n.objid
    WHERE n.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
  UNION ALL SELECT n.classid, n.objid, 0, s.nspacl FROM named n JOIN pg_catalog.pg_namespace s ON s.oid = n.objid
    WHERE n.classid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
  UNION ALL SELECT n.classid, n.objid, 0, t.typacl FROM named n JOIN pg_catalog.pg_type t ON t.oid = n.objid
    WHERE n.classid = 'pg_catalog.pg_type'::pg_catalog.regclass
  UNION ALL SELECT n.classid, n.objid, 0, l.lomacl FROM named n JOIN pg_catalog.pg_largeobject_metadata l ON l.oid = n.objid
    WHERE n.classid = 'pg_catalog.pg_largeobject'::pg_catalog.regclass
  UNION ALL SELECT n.classid, n.objid, 0, d.datacl FROM named n JOIN pg_catalog.pg_database d ON d.oid = n.objid
    WHERE n.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
  UNION ALL SELECT n.classid, n.objid, 0, f.srvacl FROM named n JOIN pg_catalog.pg_foreign_server f ON f.oid = n.objid
    WHERE n.classid = 'pg_catalog.pg_foreign_server'::pg_catalog.regclass
), given AS (
  SELECT x.classid, x.objid, x.objsubid, g.rolname AS grantor,
    CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(t.rolname) END AS grantee,
    pg_catalog.string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ', '
      ORDER BY a.privilege_type) AS privileges,
    pg_catalog.string_agg(a.privilege_type, ', ' ORDER BY a.privilege_type) AS words
  FROM acls x CROSS JOIN LATERAL pg_catalog.aclexplode(x.acl) a
  JOIN roles g ON g.oid = a.grantor LEFT JOIN pg_catalog.pg_roles t ON t.oid = a.grantee
  WHERE a.grantee <> a.grantor AND (a.grantee = 0 OR t.rolname IS NOT NULL)
  GROUP BY x.classid, x.objid, x.objsubid, g.rolname, a.grantee, t.rolname
  ORDER BY x.objid DESC LIMIT $3
)
SELECT 'privilege' AS kind, i.type || ' ' || i.identity || ' to ' || v.grantee AS identity, v.grantor AS owner,
  v.privileges AS detail, v.privileges AS definition,
  CASE WHEN v.objsubid = 0 THEN pg_catalog.format('SET ROLE %I; REVOKE %s ON %s %s FROM %s CASCADE; RESET ROLE', v.grantor, v.words,
    ${revokeWord}, i.identity, v.grantee) END AS undo
FROM given v CROSS JOIN LATERAL pg_catalog.pg_identify_object(v.classid, v.objid, v.objsubid) i
WHERE i.identity IS NOT NULL`;

const defaultPrivilegesSql = `WITH ${roles}
SELECT 'default privileges' AS kind,
  pg_catalog.format('of %I on %s%s', r.rolname, o.word, coalesce(' in schema ' || pg_catalog.quote_ident(n.nspname), '')) AS identity,
  r.rolname AS owner, d.defaclacl::text AS detail, d.defaclacl::text AS definition,
  (SELECT pg_catalog.string_agg(pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE ALL ON %s FROM %s', r.rolname,
      coalesce(' IN SCHEMA ' || pg_catalog.quote_ident(n.nspname), ''), pg_catalog.upper(o.word), e.grantee), '; ')
   FROM (SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(t.rolname) END AS grantee
     FROM pg_catalog.aclexplode(d.defaclacl) a LEFT JOIN pg_catalog.pg_roles t ON t.oid = a.grantee
     WHERE a.grantee <> d.defaclrole) e) AS undo
FROM pg_catalog.pg_default_acl d JOIN roles r ON r.oid = d.defaclrole
LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
CROSS JOIN LATERAL (SELECT CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
  WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END AS word) o
WHERE $2::bool IS NOT NULL
ORDER BY d.oid DESC LIMIT $3`;

/** On tables of the roles, and where one of them may make triggers: these have no owner, and act for whoever writes. */
const triggersSql = `WITH ${roles}, tables AS (
  SELECT d.objid AS oid, pg_catalog.bool_or(d.deptype = 'o') AS owned FROM dependents d
  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('o', 'a') GROUP BY d.objid
)
SELECT * FROM (
  SELECT 'trigger' AS kind, i.identity, NULL AS owner,
    'runs ' || f.identity || CASE WHEN t.tgenabled = 'D' THEN ', disabled' ELSE '' END AS detail,
    pg_catalog.md5(pg_catalog.concat_ws('|', t.tgfoid, t.tgtype, t.tgenabled, t.tgqual::text, pg_catalog.encode(t.tgargs, 'hex'))) AS definition,
    'DROP TRIGGER ' || i.identity AS undo
  FROM pg_catalog.pg_trigger t JOIN tables c ON c.oid = t.tgrelid
  CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_trigger'::pg_catalog.regclass, t.oid, 0) i
  CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_proc'::pg_catalog.regclass, t.tgfoid, 0) f
  WHERE NOT t.tgisinternal
    AND (c.owned OR EXISTS (SELECT FROM roles r WHERE pg_catalog.has_table_privilege(r.oid, c.oid, 'TRIGGER')))
  UNION ALL
  SELECT 'rule', i.identity, NULL, NULL, pg_catalog.md5(pg_catalog.concat_ws('|', w.ev_enabled, w.ev_action::text, w.ev_qual::text)), 'DROP RULE ' || i.identity
  FROM pg_catalog.pg_rewrite w JOIN tables c ON c.oid = w.ev_class AND c.owned
  CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_rewrite'::pg_catalog.regclass, w.oid, 0) i
  WHERE w.rulename <> '_RETURN'
  UNION ALL
  SELECT 'policy', i.identity, NULL, NULL,
    pg_catalog.md5(pg_catalog.concat_ws('|', p.polcmd, p.polpermissive, p.polroles, p.polqual::text, p.polwithcheck::text)),
    'DROP POLICY ' || i.identity
  FROM pg_catalog.pg_policy p JOIN tables c ON c.oid = p.polrelid AND c.owned
  CROSS JOIN LATERAL pg_catalog.pg_identify_object('pg_catalog.pg_policy'::pg_catalog.regclass, p.oid, 0) i
) acting WHERE identity IS NOT NULL LIMIT $3`;

const userMappingsSql = `WITH ${roles}
SELECT 'user mapping' AS kind,
  pg_catalog.format('for %s on server %I', CASE WHEN m.umuser = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(m.usename) END, m.srvname) AS identity,
  r.rolname AS owner, NULL AS detail, NULL AS definition,
  pg_catalog.format('DROP USER MAPPING FOR %s SERVER %I', CASE WHEN m.umuser = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(m.usename) END, m.srvname) AS undo
FROM pg_catalog.pg_user_mappings m JOIN pg_catalog.pg_foreign_server s ON s.oid = m.srvid
JOIN roles r ON r.oid = m.umuser OR (m.umuser = 0 AND r.oid = s.srvowner)
WHERE $2::bool IS NOT NULL LIMIT $3`;

const settingsSql = `WITH ${roles}
SELECT 'setting' AS kind,
  pg_catalog.format('%s of %I%s', pg_catalog.split_part(o.entry, '=', 1), r.rolname, coalesce(' in database ' || pg_catalog.quote_ident(d.datname), '')) AS identity,
  r.rolname AS owner, pg_catalog.left(o.entry, 100) AS detail,
  CASE WHEN pg_catalog.length(o.entry) > 1000 THEN pg_catalog.md5(o.entry) ELSE o.entry END AS definition,
  pg_catalog.format('ALTER ROLE %I%s RESET %I', r.rolname, coalesce(' IN DATABASE ' || pg_catalog.quote_ident(d.datname), ''),
    pg_catalog.split_part(o.entry, '=', 1)) AS undo
FROM pg_catalog.pg_db_role_setting s JOIN roles r ON r.oid = s.setrole
LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) o (entry)
WHERE $2::bool LIMIT $3`;

/** Users of grants come and go: who is named as one is left out. */
const membershipsSql = `WITH ${roles}
SELECT 'membership' AS kind, pg_catalog.format('%I in %I', u.rolname, g.rolname) AS identity, g.rolname AS owner,
  CASE WHEN pg_catalog.bool_or(m.admin_option) THEN 'WITH ADMIN OPTION' END AS detail, pg_catalog.bool_or(m.admin_option)::text AS definition,
  pg_catalog.format('REVOKE %I FROM %I', g.rolname, u.rolname) AS undo
FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member
WHERE $2::bool AND (g.oid IN (SELECT r.oid FROM roles r) OR u.oid IN (SELECT r.oid FROM roles r))
  AND u.rolname::text COLLATE pg_catalog."C" !~ '^jit_[a-z0-9]{1,5}_' AND g.rolname::text COLLATE pg_catalog."C" !~ '^jit_[a-z0-9]{1,5}_'
GROUP BY u.rolname, g.rolname LIMIT $3`;

const preparedSql = `WITH ${roles}
SELECT 'prepared transaction' AS kind, pg_catalog.quote_literal(p.gid) AS identity, r.rolname AS owner, 'in ' || d.datname AS detail,
  NULL AS definition, 'ROLLBACK PREPARED ' || pg_catalog.quote_literal(p.gid) AS undo
FROM pg_catalog.pg_prepared_xact() p JOIN roles r ON r.oid = p.ownerid JOIN pg_catalog.pg_database d ON d.oid = p.dbid
WHERE $2::bool LIMIT $3`;

export const snapshotQueries: readonly SnapshotQuery[] = [
  { what: "objects", wholeCluster: false, sql: ownedSql },
  { what: "privileges", wholeCluster: false, sql: privilegesSql },
  { what: "default privileges", wholeCluster: false, sql: defaultPrivilegesSql },
  { what: "triggers, rules and policies", wholeCluster: false, sql: triggersSql },
  { what: "user mappings", wholeCluster: false, sql: userMappingsSql },
  { what: "settings of roles", wholeCluster: true, sql: settingsSql },
  { what: "memberships", wholeCluster: true, sql: membershipsSql },
  { what: "prepared transactions", wholeCluster: true, sql: preparedSql },
];
