// Kinds of objects as `pg_identify_object` names them, which of them hold data, and how each is dropped or handed over.

import { keeperRole } from "../group-roles.ts";
import { quoteName } from "../quote.ts";
import type { Leftover } from "./leftovers.ts";

/** What holds data, or gives its columns their types, and is kept where the profile says so. Schemas last: they hold the others. */
const dataTypes = ["table", "sequence", "large object", "type", "collation", "schema"];

/**
 * What can act later, or is nothing without its owner, with DROP's word for it.
 * Only kinds whose identity PostgreSQL quotes; the others are left to DROP OWNED.
 */
const codeTypes: ReadonlyMap<string, string> = new Map([
  ["event trigger", "EVENT TRIGGER"],
  ["subscription", "SUBSCRIPTION"],
  ["publication", "PUBLICATION"],
  ["view", "VIEW"],
  ["materialized view", "MATERIALIZED VIEW"],
  ["foreign table", "FOREIGN TABLE"],
  ["function", "ROUTINE"],
  ["procedure", "ROUTINE"],
  ["aggregate", "ROUTINE"],
  ["operator class", "OPERATOR CLASS"],
  ["operator family", "OPERATOR FAMILY"],
  ["operator", "OPERATOR"],
  ["conversion", "CONVERSION"],
  ["statistics object", "STATISTICS"],
  ["text search configuration", "TEXT SEARCH CONFIGURATION"],
  ["text search dictionary", "TEXT SEARCH DICTIONARY"],
  ["server", "SERVER"],
  ["foreign-data wrapper", "FOREIGN DATA WRAPPER"],
  ["extension", "EXTENSION"],
]);

export function isData({ type }: Leftover): boolean {
  return dataTypes.includes(type);
}

/** Those that can be removed one by one: code before data, and of the data what lies in schemas before them. */
export function inOrder(leftovers: readonly Leftover[]): readonly Leftover[] {
  const code = leftovers.filter(({ type }) => codeTypes.has(type));
  const data = leftovers.filter((leftover) => isData(leftover) && leftover.type !== "schema");
  return [...code, ...data, ...leftovers.filter(({ type }) => type === "schema")];
}

export function dropStatement({ type, identity, objid }: Leftover): string {
  if (type === "large object") {
    return `SELECT pg_catalog.lo_unlink(${objid})`;
  }
  return `DROP ${codeTypes.get(type) ?? type.toUpperCase()} ${identity}`;
}

/** Takes along what depends on the object. A large object is no SQL object; a schema is dropped empty, so that nothing is lost unseen. */
export function forcedDrop(object: Leftover): string {
  const canCascade = object.type !== "large object" && object.type !== "schema";
  return canCascade ? `${dropStatement(object)} CASCADE` : dropStatement(object);
}

export function handOver({ type, identity }: Leftover): string {
  return `ALTER ${type.toUpperCase()} ${identity} OWNER TO ${quoteName(keeperRole)}`;
}
