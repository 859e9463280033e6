// What the tests of this folder share: a temporary journal, its lines, and a file system that fails when told to.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { verifyChain } from "./journal/chain.ts";
import { type SegmentFiles, segmentFiles } from "./journal/segment.ts";
import { type JournalOptions, openJournal } from "./journal.ts";

const start = Date.UTC(2026, 0, 2, 3, 4, 5, 6);

/** A folder that is gone after the test. */
export function createFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "jitdb-journal-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Opens a journal with a clock that stands still and zeros for randomness. */
export function openTestJournal(folder: string, options: Partial<JournalOptions> = {}) {
  return openJournal({
    folder,
    clock: { now: () => start },
    random: { bytes: (count) => new Uint8Array(count) },
    ...options,
  });
}

/** All records of a folder, parsed; throws unless the chain is whole. */
export function readRecords(folder: string): Record<string, unknown>[] {
  const lines = readdirSync(folder)
    .sort()
    .flatMap((name) => readFileSync(join(folder, name), "utf8").split("\n").slice(0, -1));
  const verdict = verifyChain(lines.map((line) => Buffer.from(line)));
  if (!verdict.whole) {
    throw new Error(verdict.fault.message);
  }
  return lines.map((line) => JSON.parse(line));
}

/** The real files, but for faults that a test turns on. */
export class FaultyFiles implements SegmentFiles {
  /** Bytes that still fit. */
  space = Number.POSITIVE_INFINITY;
  /** Most bytes that one write takes. */
  perWrite = Number.POSITIVE_INFINITY;
  syncFails = false;
  truncateFails = false;
  writes = 0;

  open(path: string): number {
    return segmentFiles.open(path);
  }

  write(file: number, bytes: Uint8Array, offset: number): number {
    this.writes += 1;
    const count = Math.min(bytes.length - offset, this.space, this.perWrite);
    if (count === 0) {
      throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
    }
    this.space -= count;
    return segmentFiles.write(file, bytes.subarray(offset, offset + count), 0);
  }

  truncate(file: number, length: number): void {
    if (this.truncateFails) {
      throw Object.assign(new Error("input/output error"), { code: "EIO" });
    }
    segmentFiles.truncate(file, length);
  }

  sync(file: number): void {
    if (this.syncFails) {
      throw Object.assign(new Error("input/output error"), { code: "EIO" });
    }
    segmentFiles.sync(file);
  }

  close(file: number): void {
    segmentFiles.close(file);
  }
}
