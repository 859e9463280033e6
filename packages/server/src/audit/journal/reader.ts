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
/** Memory to read into; more is taken for a line that does not fit. */
const memoryBytes = 256 * 1024;

/** Goes on where the last call of `read` stopped. One call at a time. */
export class JournalReader {
  readonly #folder: string;
  #nextSeq: number;
  #segment: string | undefined;
  #file: FileHandle | undefined;
  #position = 0;
  /** Used over and over: the server reads its own journal twenty times a second. */
  #memory = Buffer.allocUnsafeSlow(memoryBytes);
  /** What was read and not given yet stands between these two. */
  #start = 0;
  #end = 0;

  /** @param afterSeq the first record to report has a higher number */
  constructor(folder: string, afterSeq = 0) {
    this.#folder = folder;
    this.#nextSeq = afterSeq + 1;
  }

  /**
   * The next records, up to number `untilSeq`: about `maxBytes` of them, or as many as fit into memory, and at least one; none if
   * there are no more now.
   */
  async read(maxBytes = 1024 * 1024, untilSeq = Number.POSITIVE_INFINITY): Promise<JournalLine[]> {
    const lines: JournalLine[] = [];
    this.#moveRest();
    for (let bytes = 0; bytes < maxBytes; ) {
      const line = this.#takeLine(untilSeq);
      if (line !== undefined) {
        lines.push(line);
        bytes += line.line.length;
      } else if (this.#nextSeq > untilSeq || !this.#makeRoom(lines) || !(await this.#fill())) {
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
    for (let end = this.#lineEnd(); end !== -1; end = this.#lineEnd()) {
      const line = this.#memory.subarray(this.#start, end);
      const seq = seqOf(line) ?? this.#nextSeq;
      if (seq > untilSeq) {
        return undefined;
      }
      this.#start = end + 1;
      if (seq >= this.#nextSeq) {
        this.#nextSeq = seq + 1;
        return { seq, line };
      }
    }
    return undefined;
  }

  #lineEnd(): number {
    const end = this.#memory.indexOf(newline, this.#start);
    return end < this.#end ? end : -1;
  }

  /** The lines of the last call are over: what is behind them comes to the beginning. */
  #moveRest(): void {
    const rest = this.#memory.subarray(this.#start, this.#end);
    const fits = rest.length * 2 <= memoryBytes;
    const target =
      fits && this.#memory.length > memoryBytes
        ? Buffer.allocUnsafeSlow(memoryBytes)
        : this.#memory;
    this.#keep(rest, target);
  }

  /** False: the memory is full, and lines of this call stand in it. */
  #makeRoom({ length }: readonly JournalLine[]): boolean {
    const isFull = this.#end === this.#memory.length;
    if (isFull && length === 0) {
      const rest = this.#memory.subarray(this.#start, this.#end);
      this.#keep(rest, Buffer.allocUnsafeSlow(2 * rest.length));
    }
    return !isFull || length === 0;
  }

  #keep(rest: Buffer, memory: Buffer<ArrayBuffer>): void {
    memory.set(rest);
    this.#memory = memory;
    this.#start = 0;
    this.#end = rest.length;
  }

  /** @returns whether more bytes are there */
  async #fill(): Promise<boolean> {
    // Listed before the read: a segment that has a successor is complete, so its end is the end.
    const following = this.#followingSegment();
    const file = this.#file ?? (await this.#openSegment(following));
    if (file === undefined) {
      return false;
    }
    const room = this.#memory.length - this.#end;
    const { bytesRead } = await file.read(this.#memory, this.#end, room, this.#position);
    if (bytesRead > 0) {
      this.#position += bytesRead;
      this.#end += bytesRead;
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
    // Without a newline at its end: a write that a crash cut off.
    this.#start = this.#end;
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
