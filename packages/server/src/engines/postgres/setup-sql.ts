// The SQL that a DBA runs once for a database, and again after any change of its profiles. Plain SQL but for its last
// lines, so that psql and drivers alike can run it; it finds out the server's version by itself.

import { isAbsolute } from "node:path";
import type { DatabaseConfig, ProfileConfig } from "../../config/config.ts";
import type { SetupOptions } from "../engine.ts";
import { keeperRole, markerRole, membershipOptionsSince } from "./group-roles.ts";
import { defaultGrants, grantStatements, profilePrivileges } from "./profiles.ts";
import { quoteLiteral, quoteName } from "./quote.ts";

/** A complete script for `psql -f`, run in the database itself by a superuser. Holds no password. */
export function setupSql(database: DatabaseConfig, options: SetupOptions): string {
  const profiles = [...database.profiles.values()];
  const sections = [
    introduction(database),
    inTransaction([
      guard(database.database),
      roles(database.admin.user, profiles, options.adminVerifier),
      memberships(database.admin.user, profiles),
      databaseGrants(database, profiles),
      ...profiles.map(profileGrants),
    ]),
    ...(options.adminVerifier === undefined ? [passwordPrompt(database.admin.user)] : []),
    otherDatabases(),
    accessRules(database, options.gatewayAddresses),
  ];
  return `${sections.join("\n\n")}\n`;
}

function introduction({ name, database }: DatabaseConfig): string {
  return `-- Prepares the PostgreSQL database ${printable(database)} for jitdb, which knows it as ${name}.
-- Run it as a superuser, in that database:  psql -v ON_ERROR_STOP=1 -d ${printable(database)} -f <this file>
-- It may be run again at any time, and should be after a change of the profiles or when a new role owns tables.`;
}

/** For a comment: nothing in a name ends the line. */
function printable(name: string): string {
  return name.replaceAll(/[^\x20-\x7e]/g, "?");
}

function inTransaction(parts: readonly string[]): string {
  return ["BEGIN;", "SET LOCAL search_path = '';", ...parts, "COMMIT;"].join("\n\n");
}

/** A DO block around statements of PL/pgSQL. */
function block(body: string, declarations = ""): string {
  return `DO $jitdb$\n${declarations}BEGIN\n${body}\nEND\n$jitdb$;`;
}

function guard(database: string): string {
  return block(`  IF pg_catalog.current_database() <> ${quoteLiteral(database)} THEN
    RAISE EXCEPTION 'Run this in the database %, not in %.', ${quoteLiteral(database)}, pg_catalog.current_database();
  END IF;`);
}

function roles(admin: string, profiles: readonly ProfileConfig[], verifier?: string): string {
  const groups = profiles.map(({ group, name }) => createRole(group, "NOLOGIN", `profile ${name}`));
  const password = verifier === undefined ? "" : ` PASSWORD ${quoteLiteral(verifier)}`;
  return [
    createRole(admin, "LOGIN CREATEROLE", "makes and ends the users of grants"),
    createRole(keeperRole, "NOLOGIN", "inherits what grants leave behind; no rights, no members"),
    createRole(markerRole, "NOLOGIN", "marks the users of grants, for pg_hba.conf"),
    ...groups,
    "-- Before version 16 a user can become its group and give it a password.",
    ...[keeperRole, markerRole, ...profiles.map(({ group }) => group)].map(
      (role) => `ALTER ROLE ${quoteName(role)} NOLOGIN PASSWORD NULL;`,
    ),
    `ALTER ROLE ${quoteName(admin)} LOGIN CREATEROLE${password};`,
  ].join("\n");
}

function createRole(name: string, options: string, purpose: string): string {
  const statement = `CREATE ROLE ${quoteName(name)} ${options}`;
  return `-- ${printable(purpose)}
${block(`  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = ${quoteLiteral(name)}) THEN
    ${statement};
  END IF;`)}`;
}

function memberships(admin: string, profiles: readonly ProfileConfig[]): string {
  const to = quoteName(admin);
  const groups = [...new Set([markerRole, ...profiles.map(({ group }) => group)])];
  const grants = groups
    .map((group) => {
      const grant = quoteLiteral(`GRANT ${quoteName(group)} TO ${to} WITH `);
      return `  EXECUTE ${grant} || options;`;
    })
    .join("\n");
  const version = "pg_catalog.current_setting('server_version_num')::int";
  return `GRANT pg_signal_backend, ${quoteName(keeperRole)} TO ${to};
-- The admin may give the groups to users. From version 16 on, without having their rights itself.
${block(
  grants,
  `DECLARE
  options text := CASE WHEN ${version} >= ${membershipOptionsSince}
    THEN 'ADMIN TRUE, INHERIT FALSE, SET FALSE' ELSE 'ADMIN OPTION' END;
`,
)}`;
}

function databaseGrants(
  { database, admin }: DatabaseConfig,
  profiles: readonly ProfileConfig[],
): string {
  const schemas = [...new Set(profiles.flatMap((profile) => profile.schemas))];
  const connecting = [admin.user, ...new Set(profiles.map(({ group }) => group))].map(quoteName);
  return [
    `GRANT CONNECT ON DATABASE ${quoteName(database)} TO ${connecting.join(", ")};`,
    "-- So that left-over tables can be handed to the keeper.",
    `GRANT CREATE ON DATABASE ${quoteName(database)} TO ${quoteName(keeperRole)};`,
    ...schemas.map(
      (schema) => `GRANT USAGE, CREATE ON SCHEMA ${quoteName(schema)} TO ${quoteName(keeperRole)};`,
    ),
    "-- So that `jitdb-server check` can tell whether pg_hba.conf is right.",
    `GRANT SELECT ON pg_catalog.pg_hba_file_rules TO ${quoteName(admin.user)};`,
    `GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO ${quoteName(admin.user)};`,
  ].join("\n");
}

function profileGrants(profile: ProfileConfig): string {
  const mark = profilePrivileges[profile.privileges].leavesTraces ? "; leaves traces" : "";
  return [
    `-- Profile ${profile.name}: ${profile.privileges}${mark}.`,
    ...profile.schemas.flatMap((schema) => [
      ...grantStatements(profile, schema).map((statement) => `${statement};`),
      futureGrants(profile, schema),
    ]),
  ].join("\n");
}

/** Default privileges belong to who makes the object, so each owner in the schema gets them, and the schema's own. */
function futureGrants(profile: ProfileConfig, schema: string): string {
  const body = defaultGrants(profile, schema)
    .map(
      (grant) =>
        `    EXECUTE pg_catalog.format('ALTER DEFAULT PRIVILEGES FOR ROLE %I %s', owner, ${quoteLiteral(grant)});`,
    )
    .join("\n");
  const owners = `SELECT r.rolname FROM pg_catalog.pg_roles r JOIN (
      SELECT n.nspowner AS oid FROM pg_catalog.pg_namespace n WHERE n.nspname = ${quoteLiteral(schema)}
      UNION
      SELECT c.relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = ${quoteLiteral(schema)}
    ) o ON o.oid = r.oid
    WHERE r.rolname NOT IN (${quoteLiteral(keeperRole)}, 'pg_database_owner')`;
  return block(
    `  FOR owner IN ${owners}\n  LOOP\n${body}\n  END LOOP;`,
    "DECLARE\n  owner name;\n",
  );
}

function passwordPrompt(admin: string): string {
  return `-- Asks for the admin role's password and sends a verifier, so that it stands in no file and no log.
\\password ${quoteName(admin)}`;
}

/** No script can tell from here what the other databases let people create; `check` looks. */
function otherDatabases(): string {
  const keeper = quoteName(keeperRole);
  return `-- The users of grants are roles of the whole cluster. What one leaves in another database is cleaned up, too, if the admin role
-- may connect there and the keeper may take it over. In a database where the profiles' groups were given CREATE:
--   GRANT CREATE ON DATABASE … TO ${keeper};
--   GRANT USAGE, CREATE ON SCHEMA … TO ${keeper};
-- or keep everybody out who has no right of their own:
--   REVOKE CONNECT ON DATABASE … FROM PUBLIC;
-- jitdb-server check names these databases, each with its SQL.`;
}

/** The lines in the only order that works: the admin's membership in the marker matches \`+\` too. */
function accessRules(database: DatabaseConfig, gateways: readonly string[]): string {
  const admin = quoteName(database.admin.user);
  const name = quoteName(database.database);
  const marker = `+${markerRole}`;
  const type = database.tls.mode === "disable" ? "host" : "hostssl";
  const doors = isAbsolute(database.host)
    ? [["local", ""]]
    : gateways.map((address) => [type, withPrefix(address)]);
  const lines = [
    ...doors.map(([kind, address]) => [kind, "all", admin, address, "scram-sha-256"]),
    ...doors.map(([kind, address]) => [kind, name, marker, address, "scram-sha-256"]),
    ["host", "all", marker, "all", "reject"],
    ["local", "all", marker, "", "reject"],
  ];
  return `-- Put these lines at the top of pg_hba.conf, in this order, then run: SELECT pg_reload_conf();
-- They keep the users of grants to the gateway, whatever password one of them may give itself.
${lines.map((line) => `--   ${line.filter(Boolean).join("  ")}`).join("\n")}`;
}

/** pg_hba.conf wants a prefix length with every address. */
function withPrefix(address: string): string {
  return address.includes("/") ? address : `${address}/${address.includes(":") ? 128 : 32}`;
}
