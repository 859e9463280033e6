// Invariants 33 and 34: what a user left is removed or handed to the keeper, one object and one transaction at a time.
// Nothing is given to a role with rights, and none of the statements runs code of the user.

import type { Obstacle, StepResult, UserRef } from "../../../credentials/executor.ts";
import type { AdminConnection, AdminTransaction } from "../admin-connection.ts";
import { keeperRole } from "../group-roles.ts";
import { quoteName } from "../quote.ts";
import { attempt, joinResults } from "./attempt.ts";
import { surrenderStatements } from "./keep.ts";
import {
  findDatabases,
  findLeftovers,
  findStrangers,
  isOwnedBy,
  type Leftover,
} from "./leftovers.ts";
import { findOid } from "./sessions.ts";

export interface CleanOptions {
  /** The configured database; where an obstacle of the whole cluster is cleared. */
  readonly database: string;
  readonly leftovers: "keep" | "drop";
}

/** What holds data, and is kept where the profile says so. */
const dataTypes = ["table", "foreign table", "sequence", "large object", "type", "schema"];

/**
 * What can act later, or is nothing without its owner: type as `pg_identify_object` names it, and DROP's word.
 * Only types whose identity PostgreSQL quotes; the others are left to DROP OWNED.
 */
const codeTypes: ReadonlyMap<string, string> = new Map([
  ["event trigger", "EVENT TRIGGER"],
  ["subscription", "SUBSCRIPTION"],
  ["publication", "PUBLICATION"],
  ["view", "VIEW"],
  ["materialized view", "MATERIALIZED VIEW"],
  ["function", "ROUTINE"],
  ["procedure", "ROUTINE"],
  ["aggregate", "ROUTINE"],
  ["operator class", "OPERATOR CLASS"],
  ["operator family", "OPERATOR FAMILY"],
  ["operator", "OPERATOR"],
  ["conversion", "CONVERSION"],
  ["collation", "COLLATION"],
  ["statistics object", "STATISTICS"],
  ["text search configuration", "TEXT SEARCH CONFIGURATION"],
  ["text search dictionary", "TEXT SEARCH DICTIONARY"],
  ["server", "SERVER"],
  ["foreign-data wrapper", "FOREIGN DATA WRAPPER"],
  ["extension", "EXTENSION"],
]);

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
  const results: StepResult[] = [];
  for (const { name, connectable } of found.databases) {
    results.push(
      name !== null && connectable
        ? await cleanDatabase(connection, name, { ...user, oid: found.oid }, options)
        : unreachable(name, user, options.database),
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
  for (;;) {
    const leftovers = await connection.transaction(
      (transaction) => findLeftovers(transaction, user.oid),
      database,
    );
    const results: StepResult[] = [];
    for (const leftover of inOrder(leftovers.filter(({ owned }) => owned))) {
      results.push(await removeObject(connection, database, user, options, leftover));
    }
    const { did, obstacles } = joinResults(results);
    done.push(...did);
    if (did.length === 0) {
      const rest = await dropTheRest(connection, database, user, leftovers, obstacles);
      return joinResults([{ did: done, obstacles }, rest]);
    }
    // What was refused may have depended on what is gone now: another round, until one changes nothing.
  }
}

/** Code before data, schemas last: a schema is droppable when it is empty. */
function inOrder(leftovers: readonly Leftover[]): readonly Leftover[] {
  const code = leftovers.filter(({ type }) => codeTypes.has(type));
  const data = leftovers.filter(({ type }) => dataTypes.includes(type) && type !== "schema");
  return [...code, ...data, ...leftovers.filter(({ type }) => type === "schema")];
}

async function removeObject(
  connection: AdminConnection,
  database: string,
  user: CleanUser,
  options: CleanOptions,
  object: Leftover,
): Promise<StepResult> {
  const what = `the ${object.type} ${object.identity}`;
  const mayKeep = options.leftovers === "keep" && dataTypes.includes(object.type);
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
        if (mayKeep && !(await isEmptyContainer(transaction, object))) {
          statements = [...(await surrenderStatements(transaction, object)), handOver(object)];
          await runAll(transaction, statements);
          return [`handed ${what} to ${keeperRole}`];
        }
        await runAll(transaction, [await safeDrop(transaction, user, object)]);
        return [`dropped ${what}`];
      }, database),
  });
}

async function runAll(transaction: AdminTransaction, statements: readonly string[]): Promise<void> {
  for (const statement of statements) {
    await transaction.query(statement);
  }
}

/** Schemas without content and types that nothing is made of are no data; what belongs to a type itself does not count. */
async function isEmptyContainer(transaction: AdminTransaction, object: Leftover): Promise<boolean> {
  if (object.type !== "schema" && object.type !== "type") {
    return false;
  }
  const [row] = await transaction.query<{ used: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_depend d
       WHERE d.refclassid = $1::int8::oid AND d.refobjid = $2::int8::oid AND d.deptype NOT IN ('a', 'i')) AS used`,
    [object.classid, object.objid],
  );
  return row?.used === false;
}

/** With somebody else's things in the way it is refused, and the refusal names them; a person has to decide. */
async function safeDrop(
  transaction: AdminTransaction,
  user: CleanUser,
  object: Leftover,
): Promise<string> {
  const strangers = await findStrangers(transaction, object, user.oid);
  return strangers.length === 0 ? forcedDrop(object) : dropStatement(object);
}

function forcedDrop(object: Leftover): string {
  return canCascade(object) ? `${dropStatement(object)} CASCADE` : dropStatement(object);
}

function canCascade({ type }: Leftover): boolean {
  // A large object is no SQL object; a schema is dropped empty, so that nothing is lost in it unseen.
  return type !== "large object" && type !== "schema";
}

function dropStatement({ type, identity, objid }: Leftover): string {
  if (type === "large object") {
    return `SELECT pg_catalog.lo_unlink(${objid})`;
  }
  return `DROP ${codeTypes.get(type) ?? type.toUpperCase()} ${identity}`;
}

function handOver({ type, identity }: Leftover): string {
  return `ALTER ${type.toUpperCase()} ${identity} OWNER TO ${quoteName(keeperRole)}`;
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
