// Reads a journal's lines in order, across segments, while somebody may be writing: in bounded pieces, off the event loop.

import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { firstSeqOf, listSegments } from "./segment.ts";

export interface JournalLine {
  readonly seq: number;
  /** The exact bytes, without the newline. The reader's own memory until the next call of `read`. */
  readonly line: Buffer;
}

const newline = 0x0a;
const pieceBytes = 256 * 1024;

/** Goes on where the last call of `read` stopped. One call at a time. */
export class JournalReader {
  readonly #folder: string;
  #nextSeq: number;
  #segment: string | undefined;
  #file: FileHandle | undefined;
  #position = 0;
  #rest: Buffer = Buffer.alloc(0);

  /** @param afterSeq the first record to report has a higher number */
  constructor(folder: string, afterSeq = 0) {
    this.#folder = folder;
    this.#nextSeq = afterSeq + 1;
  }

  /**
   * The next records, up to number `untilSeq`: about `maxBytes` of them and at least one; none if there are no more now.
   */
  async read(maxBytes = 1024 * 1024, untilSeq = Number.POSITIVE_INFINITY): Promise<JournalLine[]> {
    const lines: JournalLine[] = [];
    for (let bytes = 0; bytes < maxBytes; ) {
      const line = this.#takeLine(untilSeq);
      if (line !== undefined) {
        lines.push(line);
        bytes += line.line.length;
      } else if (this.#nextSeq > untilSeq || !(await this.#fill())) {
        break;
      }
    }
    return lines;
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  #takeLine(untilSeq: number): JournalLine | undefined {
    for (let end = this.#rest.indexOf(newline); end !== -1; end = this.#rest.indexOf(newline)) {
      const line = this.#rest.subarray(0, end);
      const seq = seqOf(line) ?? this.#nextSeq;
      if (seq > untilSeq) {
        return undefined;
      }
      this.#rest = this.#rest.subarray(end + 1);
      if (seq >= this.#nextSeq) {
        this.#nextSeq = seq + 1;
        return { seq, line };
      }
    }
    return undefined;
  }

  /** @returns whether more bytes are there */
  async #fill(): Promise<boolean> {
    // Listed before the read: a segment that has a successor is complete, so its end is the end.
    const following = this.#followingSegment();
    const file = this.#file ?? (await this.#openSegment(following));
    if (file === undefined) {
      return false;
    }
    const piece = Buffer.allocUnsafe(pieceBytes);
    const { bytesRead } = await file.read(piece, 0, piece.length, this.#position);
    if (bytesRead > 0) {
      this.#position += bytesRead;
      this.#rest = Buffer.concat([this.#rest, piece.subarray(0, bytesRead)]);
      return true;
    }
    return following !== undefined && this.#segment !== following
      ? (await this.#openSegment(following)) !== undefined
      : false;
  }

  async #openSegment(name: string | undefined): Promise<FileHandle | undefined> {
    if (name === undefined) {
      return undefined;
    }
    await this.close();
    this.#file = await open(join(this.#folder, name), "r");
    this.#segment = name;
    this.#position = 0;
    this.#rest = Buffer.alloc(0);
    return this.#file;
  }

  /** The segment behind the one that is open; before the first read, the one that holds the first record to report. */
  #followingSegment(): string | undefined {
    const names = listSegments(this.#folder);
    const current = this.#segment;
    return current === undefined
      ? (names.findLast((name) => firstSeqOf(name) <= this.#nextSeq) ?? names[0])
      : names.find((name) => name > current);
  }
}

/** These bytes stand before the number alone: inside of a text the quotes are escaped. */
const seqKey = Buffer.from('"seq":');

/** A damaged line has none, and is reported as it is, in its place: what it means is for the verifier to say. */
function seqOf(line: Buffer): number | undefined {
  const start = line.lastIndexOf(seqKey);
  const digits = /^\d{1,15}(?=[,}])/.exec(line.toString("latin1", start + 6, start + 22));
  return start === -1 || digits === null ? undefined : Number(digits[0]);
}
