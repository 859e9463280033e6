// A statement in words: its text, and how it went.

import type { AuditRecordView } from "@jitdb/shared/api/audit";
import { largeObjectFunctions } from "@jitdb/shared/postgres/functions";
import { roughly } from "../text.ts";
import {
  type Candidate,
  candidatesOf,
  numberOf,
  type Parameters,
  parametersOf,
  showBytes,
  showParameters,
  statementTextOf,
  textOf,
} from "./record.ts";
import type { Story } from "./story.ts";

type Known = Pick<Story, "prepared" | "chunks" | "functionName">;

/** The SQL of a statement with its bound values, line ends and all; what can't be told is said in brackets. */
export function describeStatement(record: AuditRecordView, known: Known): string {
  switch (record.kind) {
    case "statement.parse":
      return `prepared: ${wholeText(record, known)}`;
    case "statement.bind":
      return `bound: ${describeCandidates(record, known)}${showParameters(parametersOf(record))}`;
    case "statement.chunk":
      return `(part ${(numberOf(record, "part") ?? 0) + 1} of a long text)`;
    case "statement.intent":
      return describeIntent(record, known);
    default:
      return `(statement ${textOf(record, "statement")}, begun earlier)`;
  }
}

function describeIntent(record: AuditRecordView, known: Known): string {
  switch (record["protocol"]) {
    case "execute":
      return describeCandidates(record, known) + describeFetch(record);
    case "function":
      return describeCall(record, known) + showParameters(parametersOf(record));
    default:
      return wholeText(record, known);
  }
}

/** Which portal is read, and how far, where that is not all of the unnamed one. */
function describeFetch(record: AuditRecordView): string {
  const portal = textOf(record, "portal");
  const rows = numberOf(record, "maxRows");
  const parts = [
    ...(portal === "" ? [] : [`portal ${portal}`]),
    ...(rows === undefined ? [] : [rows === 1 ? "at most 1 row" : `at most ${rows} rows`]),
  ];
  return parts.length === 0 ? "" : ` (${parts.join(", ")})`;
}

function describeCall(record: AuditRecordView, known: Known): string {
  const oid = numberOf(record, "function") ?? 0;
  const name = largeObjectFunctions.get(oid) ?? known.functionName(record);
  return name === undefined ? `(function with the OID ${oid})` : `(function ${name})`;
}

function wholeText(record: AuditRecordView, known: Known): string {
  const text = statementTextOf(record);
  if (typeof text === "string") {
    return text;
  }
  return known.chunks(textOf(record, "statement")) ?? `(a text of ${text?.length ?? "?"} bytes)`;
}

function describeCandidates(record: AuditRecordView, known: Known): string {
  const candidates = candidatesOf(record).map((each) => describeCandidate(each, known));
  const [first = "(nothing has that name)", ...others] = candidates;
  return others.length === 0 ? first : `(one of) ${candidates.join("  |  ")}`;
}

function describeCandidate({ parse, text, bind, parameters }: Candidate, known: Known): string {
  const prepared = parse === null ? undefined : known.prepared(parse);
  const bound = bind === undefined ? undefined : known.prepared(bind);
  const values = parameters ?? (bound === undefined ? undefined : valuesOf(bound, bind));
  return `${describePrepared()}${showParameters(values)}`;

  function describePrepared(): string {
    if (text !== undefined) {
      return showBytes(text);
    }
    if (prepared?.kind === "statement.parse") {
      return wholeText(prepared, known);
    }
    const said = prepared === undefined ? undefined : candidateOf(prepared, "parse", parse);
    if (said?.text !== undefined) {
      return showBytes(said.text);
    }
    return parse === null ? "(prepared with SQL)" : `(prepared as ${parse})`;
  }
}

/** The values of a Bind: of its own record, or of the intent that says all of it. */
function valuesOf(record: AuditRecordView, bind: string | undefined): Parameters | undefined {
  return record.kind === "statement.bind"
    ? parametersOf(record)
    : candidateOf(record, "bind", bind)?.parameters;
}

function candidateOf(
  record: AuditRecordView,
  by: "parse" | "bind",
  id: string | null | undefined,
): Candidate | undefined {
  return candidatesOf(record).find((candidate) => candidate[by] === id);
}

/** How a statement went: `SELECT 1, 1 row, 2 ms`. */
export function describeOutcomes(outcomes: readonly AuditRecordView[]): string {
  // Where its Parse or Bind failed, that is what there is to say; that the server passed over the rest follows.
  const failed = outcomes.filter(({ result }) => result !== "skipped");
  const told = failed.length > 0 ? failed : outcomes;
  return told.length === 0 ? "no outcome yet" : told.map(describeOutcome).join("; ");
}

function describeOutcome(record: AuditRecordView): string {
  const took = showTime(numberOf(record, "durationMs") ?? 0);
  const rows = numberOf(record, "rows");
  const count = [
    ...(rows === undefined ? [] : [rows === 1 ? "1 row" : `${rows} rows`]),
    ...copied(record),
  ];
  switch (record["result"]) {
    case "complete":
      return [textOf(record, "tag") || "done", ...count, took].join(", ");
    case "suspended":
      return ["stopped at the row limit", ...count, took].join(", ");
    case "empty":
      return "empty";
    case "error":
      return [`failed, SQLSTATE ${textOf(record, "sqlstate") || "unknown"}`, ...count, took].join(
        ", ",
      );
    case "skipped":
      return "skipped: an earlier one failed";
    case "terminated":
      return [`cut off by jitdb after ${took}${describeEnd(record)}`, ...count].join(", ");
    case "refused":
      return "refused: never sent to the database";
    default:
      return `outcome unknown: the session ended after ${took}`;
  }
}

/** The volume of COPY data, which no number of rows tells. */
function copied(record: AuditRecordView): string[] {
  const bytesIn = numberOf(record, "bytesIn") ?? 0;
  const isOut = textOf(record, "tag").startsWith("COPY") && bytesIn === 0;
  const bytesOut = isOut ? (numberOf(record, "bytesOut") ?? 0) : 0;
  return [
    ...(bytesIn > 0 ? [`${showVolume(bytesIn)} in`] : []),
    ...(bytesOut > 0 ? [`${showVolume(bytesOut)} out`] : []),
  ];
}

function showVolume(bytes: number): string {
  const unit = units.findLast(([size]) => bytes >= size);
  return unit === undefined ? `${bytes} bytes` : `${(bytes / unit[0]).toFixed(1)} ${unit[1]}`;
}

const units: readonly (readonly [number, string])[] = [
  [1024, "KiB"],
  [1024 ** 2, "MiB"],
  [1024 ** 3, "GiB"],
];

/** Why the session ended that the statement ran in. */
function describeEnd(record: AuditRecordView): string {
  const end = textOf(record, "endedBy");
  return end === "" ? "" : ` (${end.replaceAll("_", " ")})`;
}

/** `2 ms`, `59.2 s`, `5m`. */
export function showTime(ms: number): string {
  if (ms < 1000) {
    return `${Math.round(ms)} ms`;
  }
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : roughly(ms);
}
