// The end of a user as the ledger runs it, and looks at what is left: shared by the tests of single parts of it.

import { expect } from "vitest";
import { type EndReport, endUser, remedySql } from "../../packages/server/src/credentials/end.ts";
import type { Executor } from "../../packages/server/src/credentials/executor.ts";
import type { Fixture, TestUser } from "./fixture.ts";

export interface Ending extends EndReport {
  /** What all steps did, a sentence each. */
  readonly did: readonly string[];
}

/** One run of the end. */
export async function end(
  fixture: Fixture,
  user: TestUser,
  executor: Executor = fixture.executor,
): Promise<Ending> {
  const did: string[] = [];
  let closed = false;
  const report = await endUser(
    executor,
    user,
    async (_step, result) => {
      did.push(...result.did);
    },
    async () => {
      closed = true;
    },
  );
  expect(closed).toBe(report.closed);
  return { ...report, did };
}

/** Nothing in the cluster's own tables bears the user's name or number. */
export async function isGone(fixture: Fixture, user: TestUser): Promise<void> {
  const rows = await fixture.superuser(
    `SELECT rolname FROM pg_roles WHERE rolname = '${user.name}' OR oid = ${user.oid}
     UNION ALL SELECT 'session' FROM pg_stat_activity WHERE usesysid = ${user.oid}
     UNION ALL SELECT 'setting' FROM pg_db_role_setting WHERE setrole = ${user.oid}
     UNION ALL SELECT 'dependency' FROM pg_shdepend WHERE refobjid = ${user.oid}`,
  );
  expect(rows).toEqual([]);
}

/** Runs the SQL that a quarantined user comes with, as a superuser. */
export async function runRemedy(
  fixture: Fixture,
  obstacles: EndReport["obstacles"],
  user: TestUser,
): Promise<void> {
  const statements = [`DROP ROLE IF EXISTS "${user.name}"`];
  await runScript(fixture, remedySql(obstacles, { database: "orders", statements }));
}

/** Every database's part in a connection of its own, as psql does at \connect. */
async function runScript(fixture: Fixture, script: string): Promise<void> {
  expect(script).toMatch(/^\\connect "/);
  for (const part of script.split(/^\\connect /m).slice(1)) {
    const [, database = "", sql = ""] = /^"((?:[^"]|"")*)"\n([\s\S]*)$/.exec(part) ?? [];
    await fixture.superuser(sql, database.replaceAll('""', '"'));
  }
}

/** Roles, objects, privileges, settings: what a user could have changed, in every database. */
export async function catalogue(
  fixture: Fixture,
  databases: readonly string[] = ["orders", "postgres"],
): Promise<string[]> {
  const lines: string[] = [];
  for (const database of databases) {
    const rows = await fixture.superuser(catalogueSql, database);
    lines.push(...rows.map((row) => `${database}: ${row.join(" ")}`));
  }
  return lines;
}

/** By what PostgreSQL itself would dump: every object with an owner or of its own, but those of extensions and of types. */
const catalogueSql = `
SELECT 'role', rolname, rolcanlogin::text || rolsuper || rolcreaterole || rolcreatedb || rolreplication || rolbypassrls FROM pg_roles
UNION ALL SELECT 'member', roleid::regrole::text, member::regrole::text FROM pg_auth_members
UNION ALL SELECT 'setting', setdatabase::text, setrole::regrole::text || setconfig::text FROM pg_db_role_setting
UNION ALL SELECT 'default', defaclrole::regrole::text, defaclobjtype::text || defaclacl::text FROM pg_default_acl
UNION ALL SELECT 'relation', oid::regclass::text, relkind::text || relowner::regrole::text || coalesce(relacl::text, '') FROM pg_class WHERE oid >= 16384
UNION ALL SELECT 'routine', oid::regprocedure::text, proowner::regrole::text || coalesce(proacl::text, '') FROM pg_proc WHERE oid >= 16384
UNION ALL SELECT 'type', oid::regtype::text, typowner::regrole::text || coalesce(typacl::text, '') FROM pg_type WHERE oid >= 16384
UNION ALL SELECT 'schema', nspname, nspowner::regrole::text || coalesce(nspacl::text, '') FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
UNION ALL SELECT 'trigger', tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'rule', rulename, ev_class::regclass::text FROM pg_rewrite WHERE oid >= 16384
UNION ALL SELECT 'policy', polname, polrelid::regclass::text FROM pg_policy
UNION ALL SELECT 'constraint', conname, conrelid::regclass::text FROM pg_constraint WHERE oid >= 16384
UNION ALL SELECT 'operator', oid::regoperator::text, oprowner::regrole::text FROM pg_operator WHERE oid >= 16384
UNION ALL SELECT 'class', opcname, opcowner::regrole::text FROM pg_opclass WHERE oid >= 16384
UNION ALL SELECT 'family', opfname, opfowner::regrole::text FROM pg_opfamily WHERE oid >= 16384
UNION ALL SELECT 'cast', castsource::regtype::text, casttarget::regtype::text FROM pg_cast WHERE oid >= 16384
UNION ALL SELECT 'collation', collname, collowner::regrole::text FROM pg_collation WHERE oid >= 16384
UNION ALL SELECT 'conversion', conname, conowner::regrole::text FROM pg_conversion WHERE oid >= 16384
UNION ALL SELECT 'search', cfgname, cfgowner::regrole::text FROM pg_ts_config WHERE oid >= 16384
UNION ALL SELECT 'dictionary', dictname, dictowner::regrole::text FROM pg_ts_dict WHERE oid >= 16384
UNION ALL SELECT 'statistics', stxname, stxowner::regrole::text FROM pg_statistic_ext
UNION ALL SELECT 'wrapper', fdwname, fdwowner::regrole::text || coalesce(fdwacl::text, '') FROM pg_foreign_data_wrapper
UNION ALL SELECT 'server', srvname, srvowner::regrole::text || coalesce(srvacl::text, '') FROM pg_foreign_server
UNION ALL SELECT 'mapping', usename, srvname FROM pg_user_mappings
UNION ALL SELECT 'publication', pubname, pubowner::regrole::text FROM pg_publication
UNION ALL SELECT 'subscription', subname, subowner::regrole::text FROM pg_subscription
UNION ALL SELECT 'event trigger', evtname, evtowner::regrole::text FROM pg_event_trigger
UNION ALL SELECT 'extension', extname, extowner::regrole::text FROM pg_extension
UNION ALL SELECT 'language', lanname, lanowner::regrole::text FROM pg_language
UNION ALL SELECT 'comment', classoid::regclass::text, description FROM pg_description WHERE objoid >= 16384
UNION ALL SELECT 'role comment', objoid::text, description FROM pg_shdescription WHERE objoid >= 16384
UNION ALL SELECT 'label', objoid::text, label FROM pg_seclabel
UNION ALL SELECT 'large object', oid::text, lomowner::regrole::text || coalesce(lomacl::text, '') FROM pg_largeobject_metadata
UNION ALL SELECT 'database', datname, datdba::regrole::text || coalesce(datacl::text, '') FROM pg_database
UNION ALL SELECT 'prepared', gid, owner FROM pg_prepared_xacts
ORDER BY 1, 2, 3`;
