// The journal: append-only, chained, in segments. One synchronous write a flush, and a record is kept whole or not at all.
// Who may write here is the store lock's concern: one server has the data folder.

import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import { type Clock, type Random, randomBase32 } from "@jitdb/shared/ids";
import { canonicalJson } from "./journal/canonical.ts";
import { hashLine } from "./journal/chain.ts";
import { type Recovered, recentOutboxRows, recoverJournal } from "./journal/recovery.ts";
import { type SegmentFiles, segmentFiles, segmentName } from "./journal/segment.ts";
import { OrderedRecord } from "./ordered.ts";
import type { AuditEvent } from "./record.ts";

const newline = 0x0a;
/** Memory for the lines of a turn; more is taken for those that don't fit, until they are written. */
const bufferBytes = 128 * 1024;

/** `write` survives a killed process; `fsync` survives a power loss. */
type Durability = "write" | "fsync";

export interface Journal {
  /** Names the journal; stays the same for its life. */
  readonly id: string;
  /** The newest record that a flush has kept. */
  readonly flushedSeq: number;
  /** Whether the last flush failed. A later one that works clears it. */
  readonly failed: boolean;
  /**
   * Gives the event its place in the chain and keeps it for the next flush (a full buffer flushes by itself).
   * @returns the record's number
   * @throws JitdbError `audit.unavailable` when the buffer is full and can't be written: the event is not kept
   */
  append(event: AuditEvent): number;
  /**
   * Writes everything buffered, with one write. What could not be written stays buffered and goes with the next flush,
   * so that no later flush can succeed without it.
   * @throws JitdbError `audit.unavailable`: nothing that waits for these records may go on
   */
  flush(): void;
  /** Does what the next record would have to wait for, and nobody waits for now. */
  settle(): void;
  /** `append` and `flush`. */
  record(event: AuditEvent): number;
  /** Whether an outbox row is among the newest hundred that were appended, before the last start too. */
  hasOutbox(row: string): boolean;
  /** Calls back after each flush that wrote something, with nothing to wait for. Returns how to stop that. */
  onFlush(listener: () => void): () => void;
  /** Flushes and lets go of the file. */
  close(): void;
}

export interface JournalOptions {
  /** Absolute path; made with mode 0700 if it is missing. */
  readonly folder: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly durability?: Durability;
  /** A segment that has reached this size is followed by a new one. Default 64 MiB. */
  readonly segmentBytes?: number;
  /** Bytes that wait for a flush at most. Default 4 MiB. */
  readonly maxBuffered?: number;
  readonly files?: SegmentFiles;
}

/**
 * Opens the journal of a folder, or begins one. What a crash cut off is removed and recorded (journal.recovered).
 * @throws JitdbError `audit.unavailable` if the folder can't be used
 */
export function openJournal(options: JournalOptions): Journal {
  try {
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
    // SECURITY: a folder that was there with a wider mode would show everybody on the host what people run.
    chmodSync(options.folder, 0o700);
    const recovered = recoverJournal(options.folder);
    const journal = new FileJournal(options, recovered);
    for (const torn of recovered.torn) {
      journal.record({ kind: "journal.recovered", ...torn });
    }
    return journal;
  } catch (error) {
    throw error instanceof JitdbError ? error : unavailable(options.folder, error);
  }
}

class FileJournal implements Journal {
  readonly id: string;
  readonly #folder: string;
  readonly #clock: Clock;
  readonly #files: SegmentFiles;
  readonly #durable: boolean;
  readonly #segmentBytes: number;
  readonly #maxBuffered: number;
  readonly #recentOutbox: Set<string>;
  readonly #listeners = new Set<() => void>();

  #seq: number;
  /** Hash of the last line, unless that is still to be taken. */
  #prev: string;
  #flushedSeq: number;
  /** The last record, where its line is not made yet. */
  #pending: { readonly record: OrderedRecord; readonly at: string } | undefined;
  /** Where the last line stands in the buffer, while its hash is to be taken: nobody needs it before the next line. */
  #unhashed: { readonly start: number; readonly end: number } | undefined;

  #file: number | undefined;
  #length = 0;
  /** Bytes of a failed write may stand behind `#length`. */
  #torn = false;
  #failed = false;
  /** Name of the segment that the buffered records begin. */
  #nextSegment: string | undefined;

  /** Lines for the next flush stand at its beginning. Used over and over. */
  #buffer = Buffer.allocUnsafeSlow(bufferBytes);
  #buffered = 0;

  #at = "";
  #atMs = Number.NaN;

  constructor(options: JournalOptions, { journal, head, segment, recentOutbox }: Recovered) {
    this.id = journal ?? `jrn_${randomBase32(options.random, 16)}`;
    this.#folder = options.folder;
    this.#clock = options.clock;
    this.#files = options.files ?? segmentFiles;
    this.#durable = options.durability === "fsync";
    this.#segmentBytes = options.segmentBytes ?? 64 * 1024 * 1024;
    this.#maxBuffered = options.maxBuffered ?? 4 * 1024 * 1024;
    this.#seq = head.seq;
    this.#prev = head.hash;
    this.#flushedSeq = head.seq;
    this.#recentOutbox = new Set(recentOutbox);
    if (segment === undefined) {
      this.#length = Number.POSITIVE_INFINITY;
    } else {
      this.#file = this.#files.open(join(this.#folder, segment.name));
      this.#length = segment.length;
    }
  }

  get flushedSeq(): number {
    return this.#flushedSeq;
  }

  get failed(): boolean {
    return this.#failed;
  }

  append(event: AuditEvent): number {
    this.#makeLine();
    if (this.#buffered >= this.#maxBuffered) {
      this.flush();
    }
    if (this.#length >= this.#segmentBytes && this.#buffered === 0) {
      this.#nextSegment = segmentName(this.#seq + 1);
      this.#chain({
        kind: "journal.segment",
        journal: this.id,
        recentOutbox: [...this.#recentOutbox],
      });
    }
    return this.#chain(event);
  }

  settle(): void {
    this.#makeLine();
    this.#head();
  }

  flush(): void {
    this.#makeLine();
    if (this.#buffered === 0) {
      return;
    }
    try {
      this.#startSegment();
      this.#write(this.#buffer.subarray(0, this.#buffered));
    } catch (error) {
      this.#failed = true;
      throw unavailable(this.#folder, error);
    }
    this.#failed = false;
    this.#buffered = 0;
    if (this.#buffer.length > bufferBytes) {
      this.#head();
      this.#buffer = Buffer.allocUnsafeSlow(bufferBytes);
    }
    this.#flushedSeq = this.#seq;
    for (const listener of this.#listeners) {
      listener();
    }
  }

  record(event: AuditEvent): number {
    const seq = this.append(event);
    this.flush();
    return seq;
  }

  hasOutbox(row: string): boolean {
    return this.#recentOutbox.has(row);
  }

  onFlush(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    try {
      this.flush();
    } finally {
      if (this.#file !== undefined) {
        this.#files.close(this.#file);
        this.#file = undefined;
      }
    }
  }

  #chain(event: AuditEvent): number {
    const seq = this.#seq + 1;
    const at = this.#now();
    if (event instanceof OrderedRecord) {
      this.#pending = { record: event, at };
      this.#seq = seq;
      return seq;
    }
    // May throw: the number is taken when the line is there.
    this.#keep(canonicalJson({ ...event, at, prev: this.#head(), seq }));
    this.#seq = seq;
    if (event.outbox !== undefined) {
      this.#rememberOutbox(event.outbox);
    }
    return seq;
  }

  #makeLine(): void {
    const pending = this.#pending;
    if (pending !== undefined) {
      this.#pending = undefined;
      const { record, at } = pending;
      this.#keep(record.line({ at, prev: this.#head(), seq: this.#seq }));
    }
  }

  #head(): string {
    if (this.#unhashed !== undefined) {
      const { start, end } = this.#unhashed;
      this.#unhashed = undefined;
      this.#prev = hashLine(this.#buffer.subarray(start, end));
    }
    return this.#prev;
  }

  /** Puts a line and its newline behind those that wait. */
  #keep(line: string): void {
    const start = this.#buffered;
    // A UTF-16 unit is three bytes of UTF-8 at most.
    const neededBytes = start + line.length * 3 + 1;
    if (neededBytes > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(neededBytes, this.#buffer.length * 2));
      larger.set(this.#buffer.subarray(0, start));
      this.#buffer = larger;
    }
    const end = start + this.#buffer.write(line, start);
    this.#buffer[end] = newline;
    this.#buffered = end + 1;
    this.#unhashed = { start, end };
  }

  #rememberOutbox(row: string): void {
    this.#recentOutbox.add(row);
    if (this.#recentOutbox.size > recentOutboxRows) {
      const [oldest = row] = this.#recentOutbox;
      this.#recentOutbox.delete(oldest);
    }
  }

  #startSegment(): void {
    if (this.#nextSegment === undefined) {
      return;
    }
    const file = this.#files.open(join(this.#folder, this.#nextSegment));
    if (this.#file !== undefined) {
      this.#files.close(this.#file);
    }
    this.#file = file;
    this.#length = 0;
    this.#torn = false;
    this.#nextSegment = undefined;
  }

  #write(bytes: Uint8Array): void {
    const file = this.#file;
    if (file === undefined) {
      throw new Error("The journal is closed.");
    }
    this.#cutTorn(file);
    this.#torn = true;
    try {
      for (let offset = 0; offset < bytes.length; ) {
        offset += this.#files.write(file, bytes, offset);
      }
      if (this.#durable) {
        this.#files.sync(file);
      }
    } catch (error) {
      this.#tryCutTorn(file);
      throw error;
    }
    this.#torn = false;
    this.#length += bytes.length;
  }

  /** A record is in the file whole or not at all: what a failed write left there goes before anything else comes. */
  #cutTorn(file: number): void {
    if (this.#torn) {
      this.#files.truncate(file, this.#length);
      this.#torn = false;
    }
  }

  #tryCutTorn(file: number): void {
    try {
      this.#cutTorn(file);
    } catch {
      // The write's own error is the one to tell; the next flush cuts before it writes, or fails again.
    }
  }

  #now(): string {
    const now = this.#clock.now();
    if (now !== this.#atMs) {
      this.#atMs = now;
      this.#at = new Date(now).toISOString();
    }
    return this.#at;
  }
}

function unavailable(folder: string, cause: unknown): JitdbError {
  return new JitdbError("audit.unavailable", "The audit journal cannot be written.", {
    cause,
    detail: `folder ${folder}`,
  });
}
