// Verifies a journal's files from the first record to the last, in pieces, also while somebody writes behind it.

import { createReadStream } from "node:fs";
import { join } from "node:path";
import { type ChainHead, chainStart, verifyChain } from "./chain.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { listSegments } from "./segment.ts";

export type JournalVerdict =
  | { readonly whole: true; readonly head: ChainHead; readonly journal: string }
  | { readonly whole: false; readonly message: string };

const newline = 0x0a;

/**
 * @param anchors where the journal stood before, from elsewhere
 * @throws Error of node's where the files can't be read
 */
export async function verifyJournal(
  folder: string,
  anchors: readonly Pick<Checkpoint, "seq" | "hash" | "journal">[] = [],
): Promise<JournalVerdict> {
  let head = chainStart;
  let journal = "";
  for await (const line of linesOf(folder)) {
    const verdict = verifyChain([line], { from: head });
    if (!verdict.whole) {
      return { whole: false, message: verdict.fault.message };
    }
    head = verdict.head;
    journal ||= nameIn(line);
    const other = anchors.find(({ seq, hash }) => seq === head.seq && hash !== head.hash);
    if (other !== undefined) {
      const message = `Record ${head.seq} is not the one of the checkpoint: it, or what stands before it, was written anew.`;
      return { whole: false, message };
    }
  }
  const beyond = anchors.find(({ seq }) => seq > head.seq);
  if (beyond !== undefined) {
    const message = `The journal ends in record ${head.seq}, and a checkpoint knows record ${beyond.seq}: its tail is missing.`;
    return { whole: false, message };
  }
  return anchors.every((anchor) => anchor.journal === journal)
    ? { whole: true, head, journal }
    : { whole: false, message: `The checkpoint is of another journal than ${journal}.` };
}

/** Whole lines of all segments; what a writer has not finished is left out. */
async function* linesOf(folder: string): AsyncGenerator<Buffer> {
  for (const name of listSegments(folder)) {
    let rest = Buffer.alloc(0);
    for await (const piece of createReadStream(join(folder, name))) {
      rest = Buffer.concat([rest, piece as Buffer]);
      for (let end = rest.indexOf(newline); end !== -1; end = rest.indexOf(newline)) {
        yield rest.subarray(0, end);
        rest = rest.subarray(end + 1);
      }
    }
  }
}

/** Each segment begins with a record that names the journal. */
function nameIn(line: Buffer): string {
  const { journal }: { journal?: unknown } = JSON.parse(line.toString());
  return typeof journal === "string" ? journal : "";
}
