// What a journal's folder holds when it is opened: where the chain goes on, and what a crash left behind its last record.

import { readFileSync, truncateSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import type { EventOf } from "../record.ts";
import { type ChainHead, chainStart, hashLine } from "./chain.ts";
import { listSegments } from "./segment.ts";

/** How many outbox rows the journal remembers: as many as the trail moves at once. */
export const recentOutboxRows = 100;

const newline = 0x0a;

/** Bytes behind the last whole record, which were cut off. */
type TornTail = Pick<EventOf<"journal.recovered">, "segment" | "bytes" | "sha256">;

export interface Recovered {
  /** The journal's id; undefined for a new one. */
  readonly journal: string | undefined;
  readonly head: ChainHead;
  /** The segment to go on with, and its length; undefined: a new one has to be started. */
  readonly segment: { readonly name: string; readonly length: number } | undefined;
  /** Outbox rows that are in the journal, oldest first: all that a crash can have left in the outbox as well. */
  readonly recentOutbox: readonly string[];
  readonly torn: readonly TornTail[];
}

/**
 * Finds the end of the chain. What is not a whole record behind the last whole one is cut from the file and reported.
 * @throws JitdbError `audit.unavailable` if the last segment does not begin as a segment does
 */
export function recoverJournal(folder: string): Recovered {
  const torn: TornTail[] = [];
  for (const name of listSegments(folder).reverse()) {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    const end = endOfLastRecord(bytes);
    if (end < bytes.length) {
      const tail = bytes.subarray(end);
      torn.unshift({ segment: name, bytes: tail.length, sha256: hashLine(tail) });
      truncateSync(path, end);
    }
    if (end > 0) {
      return { ...readSegment(name, bytes.subarray(0, end)), torn };
    }
    // A crash between the making of a segment and its first write: the segment before it goes on.
    unlinkSync(path);
  }
  return { journal: undefined, head: chainStart, segment: undefined, recentOutbox: [], torn };
}

/** Offset behind the newline of the last line that is a record; 0 if there is none. */
function endOfLastRecord(bytes: Buffer): number {
  let end = bytes.lastIndexOf(newline) + 1;
  while (end > 0 && parseRecord(bytes.subarray(lineStart(bytes, end), end - 1)) === undefined) {
    end = lineStart(bytes, end);
  }
  return end;
}

/** Offset of the first byte of the line whose newline is at `end - 1`. */
function lineStart(bytes: Buffer, end: number): number {
  return end < 2 ? 0 : bytes.lastIndexOf(newline, end - 2) + 1;
}

function readSegment(name: string, bytes: Buffer): Omit<Recovered, "torn"> {
  const first = parseRecord(bytes.subarray(0, bytes.indexOf(newline)));
  const line = bytes.subarray(lineStart(bytes, bytes.length), bytes.length - 1);
  const seq = parseRecord(line)?.seq;
  const { journal, recentOutbox } = first ?? {};
  if (seq === undefined || typeof journal !== "string" || recentOutbox === undefined) {
    throw new JitdbError(
      "audit.unavailable",
      `The audit journal's segment ${name} does not begin with a journal.segment record.`,
    );
  }
  return {
    journal,
    head: { seq, hash: hashLine(line) },
    segment: { name, length: bytes.length },
    recentOutbox: [...recentOutbox, ...outboxIn(bytes)].slice(-recentOutboxRows),
  };
}

/** These bytes stand nowhere but before the field's value: inside of a text the quotes are escaped. */
const outboxKey = '"outbox":"';

function outboxIn(bytes: Buffer): string[] {
  const rows: string[] = [];
  let at = bytes.lastIndexOf(outboxKey);
  while (at > 0 && rows.length < recentOutboxRows) {
    const start = at + outboxKey.length;
    rows.unshift(bytes.toString("latin1", start, bytes.indexOf('"', start)));
    at = bytes.lastIndexOf(outboxKey, at - 1);
  }
  return rows;
}

type ParsedRecord = { readonly seq: number } & Partial<EventOf<"journal.segment">>;

function parseRecord(line: Buffer): ParsedRecord | undefined {
  try {
    const record: ParsedRecord | null = JSON.parse(line.toString("utf8"));
    return Number.isSafeInteger(record?.seq) ? (record ?? undefined) : undefined;
  } catch {
    // Not JSON: a torn or zeroed line, which the caller cuts.
    return undefined;
  }
}
