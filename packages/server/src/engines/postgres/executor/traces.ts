// The difference between two snapshots: what a grant has left behind, what it is to be feared for, and the SQL to look
// at it and to undo it (invariant 33). Pure.

import {
  type Comparison,
  type Snapshot,
  type Trace,
  type TraceRisk,
  tokensOf,
} from "../../../credentials/traces.ts";
import { keeperRole } from "../group-roles.ts";
import type { FoundEntry, FoundSnapshot } from "./snapshot.ts";

/** Differences that are listed; what is beyond is counted. */
export const tracesLimit = 300;

/** Types of objects that hold data and do nothing by themselves. */
const data = [
  ...["table", "foreign table", "sequence", "large object", "type", "composite type", "schema"],
  "index",
];
const rights = ["privilege", "default privileges", "setting", "membership", "user mapping"];
const routines = ["function", "procedure", "aggregate"];
const relations = ["table", "foreign table", "view", "materialized view"];
const riskOrder: readonly TraceRisk[] = ["acts", "rights", "data"];

/** Sorted by what there is to fear. */
export function findTraces(before: Snapshot, after: FoundSnapshot): Comparison {
  const known = new Map(before.entries.map((entry) => [keyOf(entry), entry]));
  const found = new Map(after.entries.map((entry) => [keyOf(entry), entry]));
  const added = after.entries
    .filter((entry) => !known.has(keyOf(entry)))
    .map((entry) => toTrace("new", entry));
  const changed = after.entries
    .filter((entry) => isChanged(known.get(keyOf(entry)), entry))
    .map((entry) => toTrace("changed", entry));
  // With a gap what is missing may only not have been seen; what the keeper had is a DBA's to clear away.
  const gone =
    after.gaps.length > 0
      ? []
      : before.entries
          .filter((entry) => entry.owner !== keeperRole && !found.has(keyOf(entry)))
          .map((entry) => toTrace("gone", { ...entry, undo: null }));
  const all = [...added, ...changed, ...gone].sort(
    (a, b) => riskOrder.indexOf(a.risk) - riskOrder.indexOf(b.risk),
  );
  const gaps = [
    ...before.gaps.map((gap) => `When it began: ${gap}`),
    ...after.gaps.map((gap) => `When it had ended: ${gap}`),
  ];
  return all.length <= tracesLimit
    ? { traces: all, gaps }
    : {
        traces: all.slice(0, tracesLimit),
        gaps: [...gaps, `${all.length - tracesLimit} more differences are not listed.`],
      };
}

function keyOf({ database, kind, identity }: FoundEntry | Snapshot["entries"][number]): string {
  return JSON.stringify([database, kind, identity]);
}

function isChanged(before: Snapshot["entries"][number] | undefined, after: FoundEntry): boolean {
  return (
    before !== undefined && (before.definition !== after.definition || before.owner !== after.owner)
  );
}

function toTrace(change: Trace["change"], entry: FoundEntry): Trace {
  const { database, kind, identity, owner, detail } = entry;
  return {
    change,
    database,
    kind,
    identity,
    owner,
    detail,
    risk: data.includes(kind) ? "data" : rights.includes(kind) ? "rights" : "acts",
    kept: owner === keeperRole && change === "new" && !rights.includes(kind),
    words: wordsOf(entry),
    look: change === "gone" ? null : lookAt(entry),
    undo: change === "new" ? (entry.undo ?? dropStatement(entry)) : null,
  };
}

/** What a statement has to say to be about it. */
function wordsOf({ kind, identity }: FoundEntry): readonly (readonly string[])[] {
  switch (kind) {
    case "large object":
      return [
        [identity],
        ...["lo_create", "lo_creat", "lo_from_bytea", "lo_import"].map((word) => [word]),
      ];
    case "default privileges":
      return [["default", "privileges"]];
    case "setting":
      return [tokensOf(identity.split(" of ", 1)[0] ?? "")];
    case "privilege": {
      const object = identity
        .slice(0, identity.lastIndexOf(" to "))
        .replace(/^[a-z- ]+ (?=\S)/, "");
      return [tokensOf(bareName(object))];
    }
    case "membership":
    case "user mapping":
    case "prepared transaction":
      return [tokensOf(identity.replace(/^for | on server | in /g, " "))];
    case "trigger":
    case "rule":
    case "policy":
      return [tokensOf(identity.slice(0, identity.lastIndexOf(" on ")))];
    default:
      return [tokensOf(bareName(identity))];
  }
}

/** `kept` of `app.kept`, `f` of `app.f(integer)`; quoted names keep their dots and brackets. */
function bareName(identity: string): string {
  const parts: readonly string[] = identity.match(/"(?:[^"]|"")*"|[^".(]+|[.(]/g) ?? [];
  const end = parts.indexOf("(");
  return (end === -1 ? parts : parts.slice(0, end)).at(-1) ?? identity;
}

function lookAt({ kind, identity }: FoundEntry): string | null {
  if (relations.includes(kind)) {
    return `SELECT * FROM ${identity} LIMIT 20`;
  }
  if (kind === "large object") {
    return `SELECT pg_catalog.lo_get(${identity})`;
  }
  return routines.includes(kind) && kind !== "aggregate"
    ? `SELECT pg_catalog.pg_get_functiondef('${identity.replaceAll("'", "''")}'::pg_catalog.regprocedure)`
    : null;
}

/** Without CASCADE: what else would go is for a person to see. */
function dropStatement({ kind, identity }: FoundEntry): string | null {
  if (kind === "large object") {
    return `SELECT pg_catalog.lo_unlink(${identity})`;
  }
  return droppable.has(kind)
    ? `DROP ${routines.includes(kind) ? "ROUTINE" : kind.toUpperCase()} ${identity}`
    : null;
}

const droppable: ReadonlySet<string> = new Set([
  ...relations,
  ...routines,
  ...["sequence", "schema", "type", "operator", "collation", "conversion", "publication"],
  ...["subscription", "event trigger", "extension", "server", "foreign-data wrapper"],
]);
