// Invariants 33 and 34: what a user left is removed or handed to the keeper, one object and one transaction at a time.
// Nothing is given to a role with rights, and none of the statements runs code of the user.

import pg from "pg";
import type { Obstacle, StepResult, UserRef } from "../../../credentials/executor.ts";
import type { AdminConnection, AdminTransaction } from "../admin-connection.ts";
import { keeperRole, markerRole } from "../group-roles.ts";
import { quoteName } from "../quote.ts";
import { attempt, joinResults, sqlstates } from "./attempt.ts";
import { restoreGroup } from "./group.ts";
import { surrenderStatements } from "./keep.ts";
import { dropStatement, forcedDrop, handOver, inOrder, isData } from "./kinds.ts";
import {
  findDatabases,
  findInTheWay,
  findLeftovers,
  isOwnedBy,
  type Leftover,
} from "./leftovers.ts";
import { findOid } from "./sessions.ts";

export interface CleanOptions {
  /** The configured database; where an obstacle of the whole cluster is cleared. */
  readonly database: string;
  readonly leftovers: "keep" | "drop";
  /** Role of the profile; undefined where it is no longer configured. */
  readonly group: string | undefined;
}

/** Removes the user's traces from every database of the cluster in which it left any. */
export async function cleanLeftovers(
  connection: AdminConnection,
  user: UserRef,
  options: CleanOptions,
): Promise<StepResult> {
  const found = await connection.transaction(async (transaction) => {
    const oid = await findOid(transaction, user);
    return oid === undefined
      ? undefined
      : { oid, databases: await findDatabases(transaction, oid) };
  });
  if (found === undefined) {
    return { did: [], obstacles: [] };
  }
  const { group, database } = options;
  // While the user is there: through it the admin may do what a member of the group may.
  const results: StepResult[] = [];
  for (const role of group === undefined ? [markerRole] : [group, markerRole]) {
    results.push(await restoreGroup(connection, role, database));
  }
  for (const { name, connectable } of found.databases) {
    results.push(
      name !== null && connectable
        ? await cleanDatabase(connection, name, { ...user, oid: found.oid }, options)
        : unreachable(name, user, database),
    );
  }
  return joinResults(results);
}

type CleanUser = UserRef & { readonly oid: number };

async function cleanDatabase(
  connection: AdminConnection,
  database: string,
  user: CleanUser,
  options: CleanOptions,
): Promise<StepResult> {
  const done: string[] = [];
  const opened = await openSchemas(connection, database, user);
  for (;;) {
    const leftovers = await connection.transaction(
      (transaction) => findLeftovers(transaction, user.oid),
      database,
    );
    const removable = inOrder(leftovers.filter(({ owned, temporary }) => owned && !temporary));
    const results: StepResult[] = [opened];
    for (const leftover of removable) {
      results.push(await removeObject(connection, database, user, options, leftover));
    }
    const removed = joinResults(results);
    const { did, obstacles } =
      removed.did.length === 0 && isExtensionsAlone(removable)
        ? await handOverExtensions(connection, database, user, removable)
        : removed;
    done.push(...did);
    if (did.length === 0) {
      const rest = await dropTheRest(connection, database, user, leftovers, obstacles);
      return joinResults([{ did: done, obstacles }, rest]);
    }
    // What was refused may have depended on what is gone now: another round, until one changes nothing.
  }
}

/** A user can shut a schema of its own against itself and the admin, and the keeper needs to be let in to get what lies there. */
async function openSchemas(
  connection: AdminConnection,
  database: string,
  user: CleanUser,
): Promise<StepResult> {
  let statements: readonly string[] = [];
  return await attempt({
    what: `open the schemas of ${user.name}`,
    remedy: () => ({ database, statements }),
    work: () =>
      connection.transaction(async (transaction) => {
        const schemas = await transaction.query<{ name: string }>(
          "SELECT n.nspname AS name FROM pg_catalog.pg_namespace n WHERE n.nspowner = $1::int8::oid",
          [user.oid],
        );
        const keeper = quoteName(keeperRole);
        statements = schemas.map(
          ({ name }) => `GRANT USAGE, CREATE ON SCHEMA ${quoteName(name)} TO ${keeper}`,
        );
        await runAll(transaction, statements);
        return [];
      }, database),
  });
}

function isExtensionsAlone(objects: readonly Leftover[]): boolean {
  return objects.length > 0 && objects.every(({ type }) => type === "extension");
}

/**
 * An extension that something still uses stays, as the keeper's: its code is its own, not the user's. Only REASSIGN OWNED
 * changes its owner, so it comes when nothing else is left that could be handed over.
 */
async function handOverExtensions(
  connection: AdminConnection,
  database: string,
  user: CleanUser,
  extensions: readonly Leftover[],
): Promise<StepResult> {
  const statements = [`REASSIGN OWNED BY ${quoteName(user.name)} TO ${quoteName(keeperRole)}`];
  return await attempt({
    what: `hand the extensions of ${user.name} to ${keeperRole}`,
    remedy: () => ({ database, statements }),
    work: () =>
      connection.transaction(async (transaction) => {
        await runAll(transaction, statements);
        return extensions.map(
          ({ identity }) => `handed the extension ${identity} to ${keeperRole}`,
        );
      }, database),
  });
}

async function removeObject(
  connection: AdminConnection,
  database: string,
  user: CleanUser,
  options: CleanOptions,
  object: Leftover,
): Promise<StepResult> {
  const what = `the ${object.type} ${object.identity}`;
  const mayKeep = options.leftovers === "keep" && isData(object);
  // What a superuser would run if the admin is refused; narrowed down as soon as it is known.
  let statements: readonly string[] = [forcedDrop(object)];
  return await attempt({
    what: `remove ${what} of ${user.name}`,
    remedy: () => ({ database, statements }),
    work: () =>
      connection.transaction(async (transaction) => {
        if (!(await isOwnedBy(transaction, user.oid, object))) {
          // Gone with another one already, or handed over with the table that it belongs to.
          return [];
        }
        if (mayKeep && !(await droppedUnused(transaction, object))) {
          statements = [...(await surrenderStatements(transaction, object)), handOver(object)];
          await runAll(transaction, statements);
          return [`handed ${what} to ${keeperRole}`];
        }
        if (!mayKeep) {
          await transaction.query(await safeDrop(transaction, user, options, object));
        }
        return [`dropped ${what}`];
      }, database),
  });
}

async function runAll(transaction: AdminTransaction, statements: readonly string[]): Promise<void> {
  for (const statement of statements) {
    await transaction.query(statement);
  }
}

/** Schemas without content, types and collations that nothing is made of are no data: PostgreSQL itself says whether it is so. */
async function droppedUnused(transaction: AdminTransaction, object: Leftover): Promise<boolean> {
  if (!["schema", "type", "collation"].includes(object.type)) {
    return false;
  }
  await transaction.query("SAVEPOINT unused");
  try {
    await transaction.query(dropStatement(object));
    return true;
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== sqlstates.dependentObjects) {
      throw error;
    }
    await transaction.query("ROLLBACK TO SAVEPOINT unused");
    return false;
  }
}

/** With somebody else's things in the way, or data to keep, it is refused, and the refusal names them; a person has to decide. */
async function safeDrop(
  transaction: AdminTransaction,
  user: CleanUser,
  options: CleanOptions,
  object: Leftover,
): Promise<string> {
  const inTheWay = await findInTheWay(transaction, object, user.oid, options.leftovers === "keep");
  return inTheWay ? dropStatement(object) : forcedDrop(object);
}

/**
 * Default privileges, privileges and policies that name the user, and kinds of objects that are not listed here.
 * Only where no data is left: DROP OWNED would take it along.
 */
async function dropTheRest(
  connection: AdminConnection,
  database: string,
  user: CleanUser,
  leftovers: readonly Leftover[],
  obstacles: readonly Obstacle[],
): Promise<StepResult> {
  if (leftovers.length === 0 || obstacles.length > 0) {
    return { did: [], obstacles: [] };
  }
  const remedy = { database, statements: [`DROP OWNED BY ${quoteName(user.name)}`] };
  let left: readonly Leftover[] = [];
  const result = await attempt({
    what: `take back the privileges that name ${user.name}`,
    remedy: () => remedy,
    work: () =>
      connection.transaction(async (transaction) => {
        await runAll(transaction, remedy.statements);
        left = await findLeftovers(transaction, user.oid);
        return left.length < leftovers.length ? [`took back privileges in ${database}`] : [];
      }, database),
  });
  // Nobody but who gave a privilege, and superusers, can take it back; PostgreSQL passes over it with a warning.
  const foreign = left.map(({ type, identity }) => ({
    message: `Somebody else gave ${user.name} privileges on the ${type} ${identity}.`,
    remedy,
  }));
  return joinResults([result, { did: [], obstacles: foreign }]);
}

function unreachable(database: string | null, user: UserRef, home: string): StepResult {
  const where = database === null ? "the cluster itself" : `the database ${database}`;
  const message = `${user.name} left something in ${where}, where the admin role cannot go.`;
  const remedy = {
    database: database ?? home,
    statements: [`DROP OWNED BY ${quoteName(user.name)}`],
  };
  return { did: [], obstacles: [{ message, remedy }] };
}
