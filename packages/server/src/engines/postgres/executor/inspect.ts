// What is wrong with a database's set-up, each with its fix: roles, the admin's rights, profiles, the database's own door.

import { JitdbError } from "@jitdb/shared/errors";
import type { DatabaseConfig, ProfileConfig } from "../../../config/config.ts";
import type { Problem } from "../../../credentials/executor.ts";
import type { AdminConnection, AdminTransaction, Row } from "../admin-connection.ts";
import { keeperRole, markerRole, membershipOptionsSince } from "../group-roles.ts";
import { quoteName } from "../quote.ts";
import { inspectAccessRules } from "./access-rules.ts";
import { inspectOtherDatabases } from "./other-databases.ts";
import { serverVersion } from "./roles.ts";
import { findForbidden } from "./safety.ts";
import { findWays } from "./ways.ts";

interface RoleFacts extends Row {
  readonly name: string;
  readonly login: boolean;
  readonly superuser: boolean;
  readonly createrole: boolean;
  readonly member: boolean;
  readonly administered: boolean;
  readonly owns: boolean;
  /** Has settings or default privileges, which the end of every grant takes back from the roles that grants share. */
  readonly changed: boolean;
}

const rolesSql = `
SELECT r.rolname AS name, r.rolcanlogin AS login, r.rolsuper AS superuser, r.rolcreaterole AS createrole,
  pg_catalog.pg_has_role(CURRENT_USER, r.oid, 'MEMBER') AS member,
  EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles u ON u.oid = m.member
    WHERE m.roleid = r.oid AND u.rolname = CURRENT_USER AND m.admin_option) AS administered,
  EXISTS (SELECT FROM pg_catalog.pg_shdepend s WHERE s.refobjid = r.oid AND s.deptype = 'o'
    AND s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
    AND s.classid <> 'pg_catalog.pg_default_acl'::pg_catalog.regclass) AS owns,
  EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s WHERE s.setrole = r.oid)
    OR EXISTS (SELECT FROM pg_catalog.pg_shdepend s WHERE s.refobjid = r.oid AND s.deptype = 'o'
      AND s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
      AND s.classid = 'pg_catalog.pg_default_acl'::pg_catalog.regclass) AS changed
FROM pg_catalog.pg_roles r WHERE r.rolname = ANY ($1::text[])`;

/** Everything at once; empty when grants can work and are safe. Never throws for what it finds. */
export async function inspectDatabase(
  connection: AdminConnection,
  database: DatabaseConfig,
): Promise<readonly Problem[]> {
  try {
    const problems = await connection.transaction(async (transaction) => {
      const profiles = [...database.profiles.values()];
      const names = [
        database.admin.user,
        keeperRole,
        markerRole,
        ...profiles.map(({ group }) => group),
      ];
      const rows = await transaction.query<RoleFacts>(rolesSql, [names]);
      const roles = new Map(rows.map((row) => [row.name, row]));
      const fix = setUpFix(database);
      return [
        ...inspectAdmin(roles.get(database.admin.user), await serverVersion(transaction), fix),
        ...inspectRole(roles.get(keeperRole), keeperRole, (role) => role.member, fix),
        ...inspectRole(roles.get(markerRole), markerRole, (role) => role.administered, fix),
        ...(await inspectSignal(transaction, database.admin.user)),
        ...(await inspectProfiles(transaction, profiles, roles, fix)),
        ...(await inspectAccessRules(transaction, database, fix)),
      ];
    });
    return [...problems, ...(await inspectOtherDatabases(connection, database))];
  } catch (error) {
    if (!(error instanceof JitdbError)) {
      throw error;
    }
    const detail = error.detail === undefined ? "" : ` (${error.detail})`;
    const fix =
      error.code === "database.misconfigured"
        ? setUpFix(database)
        : `Start the database, or mend host, port and tls of ${database.name}.`;
    return [{ severity: "error", message: `${error.message}${detail}`, fix }];
  }
}

function setUpFix(database: DatabaseConfig): string {
  return `Run what \`jitdb-server database sql ${database.name}\` prints, as a superuser.`;
}

function inspectAdmin(role: RoleFacts | undefined, version: number, fix: string): Problem[] {
  const problems: Problem[] = [];
  if (role?.superuser === true) {
    problems.push({
      severity: "warning",
      message: `The admin role ${role.name} is a superuser.`,
      fix: "Use a role with CREATEROLE alone, as the printed SQL makes it.",
    });
  } else if (role?.createrole !== true) {
    problems.push({ severity: "error", message: "The admin role may not make roles.", fix });
  }
  if (version < membershipOptionsSince) {
    problems.push({
      severity: "warning",
      message:
        "Before PostgreSQL 16 a role with CREATEROLE can give itself everything but superuser, the server's programs included.",
      fix: "Guard the admin's password as a superuser's, or upgrade the database.",
    });
  }
  return problems;
}

function inspectRole(
  role: RoleFacts | undefined,
  name: string,
  isReady: (role: RoleFacts) => boolean,
  fix: string,
): Problem[] {
  if (role === undefined) {
    return [{ severity: "error", message: `The role ${name} is missing.`, fix }];
  }
  const problems: Problem[] = [];
  if (!isReady(role)) {
    problems.push({
      severity: "error",
      message: `The admin role lacks its membership in ${name}.`,
      fix,
    });
  }
  if (role.login) {
    problems.push({
      severity: "error",
      message: `${name} can log in.`,
      fix: `ALTER ROLE ${quoteName(name)} NOLOGIN;`,
    });
  }
  return problems;
}

async function inspectSignal(transaction: AdminTransaction, admin: string): Promise<Problem[]> {
  const [row] = await transaction.query<{ member: boolean }>(
    "SELECT pg_catalog.pg_has_role(CURRENT_USER, 'pg_signal_backend', 'USAGE') AS member",
  );
  return row?.member === true
    ? []
    : [
        {
          severity: "error",
          message: "The admin role may not end sessions that outlive their role.",
          fix: `GRANT pg_signal_backend TO ${quoteName(admin)};`,
        },
      ];
}

async function inspectProfiles(
  transaction: AdminTransaction,
  profiles: readonly ProfileConfig[],
  roles: ReadonlyMap<string, RoleFacts>,
  fix: string,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  for (const profile of profiles) {
    const role = roles.get(profile.group);
    problems.push(...inspectRole(role, profile.group, (group) => group.administered, fix));
    if (role !== undefined) {
      problems.push(...(await inspectGroup(transaction, profile, role)));
    }
  }
  return problems;
}

async function inspectGroup(
  transaction: AdminTransaction,
  profile: ProfileConfig,
  role: RoleFacts,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const forbidden = await findForbidden(transaction, profile.group, profile.allowPrivileges);
  if (forbidden.length > 0) {
    problems.push({
      severity: "error",
      message: `The profile ${profile.name} holds ${forbidden.join(", ")}; no grant is given on it.`,
      fix: `Revoke that from ${profile.group}, or name it under allowPrivileges of the profile.`,
    });
  }
  if (role.owns) {
    problems.push({
      severity: "warning",
      message: `The group ${profile.group} owns objects, so a grant may change and drop them, and leave code in its name.`,
      fix: `REASSIGN OWNED BY ${quoteName(profile.group)} TO a role that nobody is a member of;`,
    });
  }
  if (role.changed) {
    problems.push({
      severity: "warning",
      message: `The group ${profile.group} has default privileges or settings; the end of each grant takes them away.`,
      fix: `If they are meant, give them to another role; else end the grants of ${profile.name}.`,
    });
  }
  const ways = (await findWays(transaction, [profile]))[profile.name] ?? [];
  if (ways.length > 0) {
    problems.push({
      severity: "warning",
      message: `The profile ${profile.name} leaves traces: a grant ${ways.join(", and ")}.`,
      fix:
        profile.privileges === "admin"
          ? "Somebody signs what each grant leaves, with `jitdb grants sign`; narrow its schemas to have less of it."
          : await revokeCreate(transaction, profile),
    });
  }
  return problems;
}

/** Where the printed SQL gives no right to make objects, PUBLIC does; or somebody gave more by hand. */
async function revokeCreate(
  transaction: AdminTransaction,
  profile: ProfileConfig,
): Promise<string> {
  const schemas = await transaction.query<{ name: string }>(
    `SELECT n.nspname AS name FROM pg_catalog.pg_namespace n
     WHERE NOT pg_catalog.starts_with(n.nspname, 'pg_') AND pg_catalog.has_schema_privilege($1, n.oid, 'CREATE')
     ORDER BY n.nspname`,
    [profile.group],
  );
  const names = schemas.map(({ name }) => quoteName(name));
  return names.length === 0
    ? `Take from ${profile.group} what the printed SQL does not give it.`
    : names
        .map((name) => `REVOKE CREATE ON SCHEMA ${name} FROM PUBLIC, ${quoteName(profile.group)};`)
        .join(" ");
}
