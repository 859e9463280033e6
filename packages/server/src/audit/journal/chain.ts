// The chain: each record names the number and the hash of the one before. Pure: lines in, a verdict out.
// What it can't see alone is a tail that was cut or a whole journal that was replaced: that takes a head kept elsewhere.

import { hash } from "node:crypto";
import { canonicalJson } from "./canonical.ts";

/** The place behind a record, from which a chain goes on. */
export interface ChainHead {
  /** Number of the record; 0 before the first one. */
  readonly seq: number;
  /** SHA-256 (hex) of the record's exact line, without its newline. */
  readonly hash: string;
}

/** What the first record names as the one before it. */
export const chainStart: ChainHead = { seq: 0, hash: "0".repeat(64) };

interface ChainFault {
  /** Number that the record in this place has to have. */
  readonly seq: number;
  /**
   * malformed: not a record in canonical form, so its bytes were changed.
   * misnumbered: another number stands there: a record was inserted, deleted or moved.
   * unlinked: it names another predecessor: that one, or the reference to it, was changed.
   * headless: the chain is whole but does not end in the head that was asked for.
   */
  readonly problem: "malformed" | "misnumbered" | "unlinked" | "headless";
  readonly message: string;
}

export type ChainVerdict =
  | { readonly whole: true; readonly head: ChainHead }
  | { readonly whole: false; readonly fault: ChainFault };

export interface ChainBounds {
  /** The head of what was verified before; default: the journal's start. */
  readonly from?: ChainHead;
  /** A head that the lines must end in; finds a changed last record, a cut tail and a replaced journal. */
  readonly to?: ChainHead;
}

/** SHA-256 (hex) of a line without its newline. */
export function hashLine(line: string | Uint8Array): string {
  return hash("sha256", line);
}

/**
 * Verifies lines (each without its newline), stopping at the first fault. Takes a generator for what is larger than memory.
 */
export function verifyChain(
  lines: Iterable<Uint8Array>,
  { from = chainStart, to }: ChainBounds = {},
): ChainVerdict {
  let head = from;
  for (const line of lines) {
    const next = follow(head, line);
    if ("problem" in next) {
      return { whole: false, fault: next };
    }
    head = next;
  }
  if (to !== undefined && (head.seq !== to.seq || head.hash !== to.hash)) {
    const message = `The chain ends in record ${head.seq} with hash ${head.hash}, not in record ${to.seq} with hash ${to.hash}.`;
    return { whole: false, fault: { seq: head.seq, problem: "headless", message } };
  }
  return { whole: true, head };
}

function follow(head: ChainHead, line: Uint8Array): ChainHead | ChainFault {
  const seq = head.seq + 1;
  const record = parseCanonical(line);
  if (record === undefined) {
    return { seq, problem: "malformed", message: `Record ${seq} is not in canonical form.` };
  }
  if (record["seq"] !== seq) {
    const message = `Where record ${seq} belongs stands record ${JSON.stringify(record["seq"])}.`;
    return { seq, problem: "misnumbered", message };
  }
  if (record["prev"] !== head.hash) {
    const message = `Record ${seq} does not name record ${head.seq} as it stands here: one of the two was changed.`;
    return { seq, problem: "unlinked", message };
  }
  return { seq, hash: hashLine(line) };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function parseCanonical(line: Uint8Array): Record<string, unknown> | undefined {
  try {
    const text = utf8.decode(line);
    const record: unknown = JSON.parse(text);
    const isObject = typeof record === "object" && record !== null && !Array.isArray(record);
    return isObject && canonicalJson(record) === text
      ? (record as Record<string, unknown>)
      : undefined;
  } catch {
    // Invalid UTF-8 or JSON: the caller reports the line as malformed, which is all there is to say.
    return undefined;
  }
}
