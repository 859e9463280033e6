// Segments: the journal's files. Names, listing, and the few calls of the file system that the writer needs.

import {
  closeSync,
  constants,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readdirSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";

const digits = 16;
const pattern = new RegExp(`^\\d{${digits}}\\.jsonl$`);

/** A segment is named by its first record's number, so that names sort as records do. */
export function segmentName(firstSeq: number): string {
  return `${String(firstSeq).padStart(digits, "0")}.jsonl`;
}

/** Number of a segment's first record. */
export function firstSeqOf(name: string): number {
  return Number.parseInt(name, 10);
}

/** Names of the folder's segments, oldest first. */
export function listSegments(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => pattern.test(name))
    .sort();
}

/** The file system as the writer uses it; tests give one that is full or broken. Errors are node's. */
export interface SegmentFiles {
  /** Opens for appending; makes the file (0600) if it is missing. */
  open(path: string): number;
  /** @returns how many bytes were written; may be fewer than given */
  write(file: number, bytes: Uint8Array, offset: number): number;
  truncate(file: number, length: number): void;
  /** Returns when the data is on the disk. */
  sync(file: number): void;
  close(file: number): void;
}

export const segmentFiles: SegmentFiles = {
  open(path) {
    // SECURITY: O_APPEND: whatever else this process does with the file, nothing before the end is overwritten.
    // O_NOFOLLOW: a link planted in the folder leads nowhere.
    const { O_WRONLY, O_CREAT, O_APPEND, O_NOFOLLOW } = constants;
    const file = openSync(path, O_WRONLY | O_CREAT | O_APPEND | (O_NOFOLLOW ?? 0), 0o600);
    syncFolder(dirname(path));
    return file;
  },
  write: (file, bytes, offset) => writeSync(file, bytes, offset),
  truncate: ftruncateSync,
  sync: fdatasyncSync,
  close: closeSync,
};

/** Puts a new file's name on the disk; Windows knows no such thing. */
function syncFolder(path: string): void {
  if (process.platform === "win32") {
    return;
  }
  const folder = openSync(path, constants.O_RDONLY);
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
