// The life of an ephemeral user's role: made, adopted, locked, dropped, looked for.

import { JitdbError } from "@jitdb/shared/errors";
import pg from "pg";
import type { ProfileConfig } from "../../../config/config.ts";
import type { NewUser, StepResult, UserRef } from "../../../credentials/executor.ts";
import { userNamePattern } from "../../../credentials/names.ts";
import type { AdminConnection, AdminQueries, AdminTransaction, Row } from "../admin-connection.ts";
import { markerRole, membershipOptionsSince } from "../group-roles.ts";
import { quoteLiteral, quoteName, quoteNames } from "../quote.ts";
import { attempt } from "./attempt.ts";
import { refuseForbidden } from "./safety.ts";

export interface RoleRow extends Row {
  readonly name: string;
  readonly oid: number;
}

/** The role of a user, by its name, which is never used twice. */
export async function findRole(
  queries: AdminQueries,
  user: Pick<UserRef, "name">,
): Promise<RoleRow | undefined> {
  const [row] = await queries.query<RoleRow>(
    "SELECT rolname AS name, oid::int8::float8 AS oid FROM pg_catalog.pg_roles WHERE rolname = $1",
    [user.name],
  );
  return row;
}

export async function serverVersion(transaction: AdminTransaction): Promise<number> {
  const [row] = await transaction.query<{ version: string }>(
    "SELECT pg_catalog.current_setting('server_version_num') AS version",
  );
  return Number(row?.version);
}

/**
 * Makes the user in one transaction: whoever finds the role finds it with its password, its end and its memberships.
 * @throws JitdbError `database.unsafe_profile`; `database.misconfigured` where the admin lacks a right
 */
export async function createRole(
  connection: AdminConnection,
  admin: string,
  user: NewUser,
  profile: ProfileConfig,
): Promise<{ readonly oid: number }> {
  try {
    return await connection.transaction((transaction) =>
      createIn(transaction, admin, user, profile),
    );
  } catch (error) {
    throw error instanceof pg.DatabaseError ? refusedToMake(error) : error;
  }
}

function refusedToMake(cause: pg.DatabaseError): JitdbError {
  const message = "The database refuses to make the user.";
  return new JitdbError("database.misconfigured", message, { cause, detail: cause.message });
}

async function createIn(
  transaction: AdminTransaction,
  admin: string,
  user: NewUser,
  profile: ProfileConfig,
): Promise<{ readonly oid: number }> {
  await refuseForbidden(transaction, profile.group, profile);
  const existing = await findRole(transaction, user);
  const { name, verifier } = user;
  const validUntil = await momentIn(transaction, user.validForMs);
  const terms = { name, verifier, validUntil, admin, group: profile.group };
  if (existing === undefined) {
    for (const statement of await creation(transaction, terms)) {
      await transaction.query(statement);
    }
  } else {
    await adopt(transaction, name, [profile.group, markerRole]);
    await transaction.query(`ALTER ROLE ${quoteName(name)} ${loginOf(terms)}`);
    await transaction.query(membership(terms, await serverVersion(transaction)));
  }
  await refuseForbidden(transaction, name, profile);
  const role = await findRole(transaction, user);
  if (role === undefined) {
    throw new JitdbError("internal", `The user ${name} is not there after it was made.`);
  }
  return { oid: role.oid };
}

interface RoleTerms {
  readonly name: string;
  readonly verifier: string;
  readonly validUntil: string;
  readonly admin: string;
  readonly group: string;
}

/**
 * What stands in a shown statement in the place of what is not known yet, or nobody's to see.
 * SECURITY: whoever asks for access learns no admin role's name (invariant 18), and no verifier, which could be guessed at.
 */
const marks = { verifier: "<verifier>", validUntil: "<end>", admin: "<admin>" } as const;

/**
 * The statements that would make a user, in order: those that `createRole` runs, with marks.
 * @throws JitdbError `database.unsafe_profile`, as making it would
 */
export async function describeCreation(
  connection: AdminConnection,
  name: string,
  profile: ProfileConfig,
): Promise<readonly string[]> {
  return await connection.transaction(async (transaction) => {
    await refuseForbidden(transaction, profile.group, profile);
    return await creation(transaction, { ...marks, name, group: profile.group });
  });
}

async function creation(
  transaction: AdminTransaction,
  terms: RoleTerms,
): Promise<readonly string[]> {
  const { name, admin } = terms;
  return [
    // The admin's own membership is what lets it end the user's sessions and drop what it leaves, on every version.
    `CREATE ROLE ${quoteName(name)} ${loginOf(terms)} ROLE ${quoteName(admin)}`,
    membership(terms, await serverVersion(transaction)),
  ];
}

function loginOf({ verifier, validUntil }: RoleTerms): string {
  return `LOGIN PASSWORD ${quoteLiteral(verifier)} VALID UNTIL ${quoteLiteral(validUntil)}`;
}

function membership({ name, group }: RoleTerms, version: number): string {
  const options = version >= membershipOptionsSince ? " WITH INHERIT TRUE, SET FALSE" : "";
  return `GRANT ${quoteNames([group, markerRole])} TO ${quoteName(name)}${options}`;
}

/** So many milliseconds from now, as the database reads it. */
async function momentIn(transaction: AdminTransaction, ms: number): Promise<string> {
  const [row] = await transaction.query<{ moment: string }>(
    "SELECT (pg_catalog.clock_timestamp() + $1::float8 * interval '1 millisecond')::text AS moment",
    [ms],
  );
  return row?.moment ?? "";
}

/** @throws JitdbError `database.misconfigured` where the admin lacks a right */
export async function extendRole(
  connection: AdminConnection,
  user: UserRef,
  validForMs: number,
): Promise<void> {
  try {
    await connection.transaction(async (transaction) => {
      const validUntil = await momentIn(transaction, validForMs);
      await transaction.query(
        `ALTER ROLE ${quoteName(user.name)} VALID UNTIL ${quoteLiteral(validUntil)}`,
      );
    });
  } catch (error) {
    throw error instanceof pg.DatabaseError ? refusedToMake(error) : error;
  }
}

/** A crash left the role behind, or its password changes: it keeps nothing but what a new one would have. */
async function adopt(
  transaction: AdminTransaction,
  name: string,
  memberships: readonly string[],
): Promise<void> {
  const others = await transaction.query<{ name: string }>(
    `SELECT r.rolname AS name FROM pg_catalog.pg_auth_members m
     JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member
     WHERE u.rolname = $1 AND r.rolname <> ALL ($2::text[])`,
    [name, memberships],
  );
  for (const other of others) {
    await transaction.query(`REVOKE ${quoteName(other.name)} FROM ${quoteName(name)}`);
  }
  await transaction.query(`ALTER ROLE ${quoteName(name)} RESET ALL`);
}

/** Without login and password, and past its end: what the user set itself is gone too. */
export async function lockRole(
  connection: AdminConnection,
  database: string,
  user: UserRef,
): Promise<StepResult> {
  const statement = `ALTER ROLE ${quoteName(user.name)} NOLOGIN PASSWORD NULL VALID UNTIL '-infinity'`;
  return await attempt({
    what: `lock ${user.name}`,
    remedy: () => ({ database, statements: [statement] }),
    work: () =>
      connection.transaction(async (transaction) => {
        if ((await findRole(transaction, user)) === undefined) {
          return [];
        }
        await transaction.query(statement);
        return [`locked ${user.name}`];
      }),
  });
}

export async function dropRole(
  connection: AdminConnection,
  database: string,
  user: UserRef,
): Promise<StepResult> {
  const statement = `DROP ROLE IF EXISTS ${quoteName(user.name)}`;
  return await attempt({
    what: `drop ${user.name}`,
    remedy: () => ({ database, statements: [statement] }),
    work: () =>
      connection.transaction(async (transaction) => {
        if ((await findRole(transaction, user)) === undefined) {
          return [];
        }
        await transaction.query(statement);
        return [`dropped ${user.name}`];
      }),
  });
}

/** Roles whose names are those of one installation's users. */
export async function listUsers(
  connection: AdminConnection,
  installation: string,
): Promise<readonly RoleRow[]> {
  return await connection.query<RoleRow>(
    `SELECT rolname AS name, oid::int8::float8 AS oid FROM pg_catalog.pg_roles
       WHERE rolname::text COLLATE pg_catalog."C" ~ $1 ORDER BY rolname`,
    [userNamePattern(installation)],
  );
}
