// A statement in words: its text, and how it went.

import type { AuditRecordView } from "@jitdb/shared/api/audit";
import { roughly } from "../text.ts";
import {
  type Candidate,
  candidatesOf,
  numberOf,
  parametersOf,
  showBytes,
  showParameters,
  statementTextOf,
  textOf,
} from "./record.ts";
import type { Story } from "./story.ts";

type Known = Pick<Story, "prepared" | "chunks">;

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
      return describeCandidates(record, known);
    case "function":
      return `(function with the OID ${numberOf(record, "function")})${showParameters(parametersOf(record))}`;
    default:
      return wholeText(record, known);
  }
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
  const values = parameters ?? (bound === undefined ? undefined : parametersOf(bound));
  return `${describePrepared()}${showParameters(values)}`;

  function describePrepared(): string {
    if (text !== undefined) {
      return showBytes(text);
    }
    if (prepared !== undefined) {
      return wholeText(prepared, known);
    }
    return parse === null ? "(prepared with SQL)" : `(prepared as ${parse})`;
  }
}

/** How a statement went: `SELECT 1, 1 row, 2 ms`. */
export function describeOutcomes(outcomes: readonly AuditRecordView[]): string {
  return outcomes.length === 0 ? "no outcome yet" : outcomes.map(describeOutcome).join("; ");
}

function describeOutcome(record: AuditRecordView): string {
  const took = showTime(numberOf(record, "durationMs") ?? 0);
  const rows = numberOf(record, "rows");
  const count = rows === undefined ? [] : [rows === 1 ? "1 row" : `${rows} rows`];
  switch (record["result"]) {
    case "complete":
      return [textOf(record, "tag") || "done", ...count, took].join(", ");
    case "suspended":
      return ["stopped at the row limit", ...count, took].join(", ");
    case "empty":
      return "empty";
    case "error":
      return `failed, SQLSTATE ${textOf(record, "sqlstate") || "unknown"}, ${took}`;
    case "skipped":
      return "skipped: an earlier one failed";
    case "terminated":
      return `cut off by jitdb after ${took}`;
    case "refused":
      return "refused: never sent to the database";
    default:
      return `outcome unknown: the session ended after ${took}`;
  }
}

/** `2 ms`, `59.2 s`, `5m`. */
export function showTime(ms: number): string {
  if (ms < 1000) {
    return `${Math.round(ms)} ms`;
  }
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : roughly(ms);
}
