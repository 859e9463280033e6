// Ships the journal's records to the store, where they can be searched. The journal is the truth; this may lag behind.

import { CompiledQuery } from "kysely";
import type { Store } from "../../store/store.ts";
import { type JournalLine, JournalReader } from "../journal/reader.ts";
import type { Journal } from "../journal.ts";

/** Records of one loop turn after the other go together: the store is asked about twenty times a second at most. */
const restMs = 50;
/** How many times as long as it ships it rests: while many statements run, they come first, and searches lag behind. */
const restsPerRun = 19;
/** How long whoever reads records waits for the newest ones, in milliseconds. */
const readerPatienceMs = 2000;
/** Bytes of records that go together, in one transaction: who asks the store meanwhile waits for it, a few milliseconds. */
const bytesPerInsert = 128 * 1024;

export interface AuditShipperOptions {
  readonly store: Store;
  readonly journal: Journal;
  /** The journal's folder. */
  readonly folder: string;
  /** Told when a run failed; the next flush of the journal starts another. */
  readonly onError: (error: unknown) => void;
}

/** In order, each record once, resumed behind the last one that the store has. */
export class AuditShipper {
  readonly #store: Store;
  readonly #journal: Journal;
  readonly #folder: string;
  readonly #onError: (error: unknown) => void;
  #reader: JournalReader | undefined;
  #running: Promise<boolean> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #unsubscribe: (() => void) | undefined;

  constructor({ store, journal, folder, onError }: AuditShipperOptions) {
    this.#store = store;
    this.#journal = journal;
    this.#folder = folder;
    this.#onError = onError;
  }

  /** Ships what is there and goes on with every flush of the journal. */
  start(): void {
    this.#unsubscribe = this.#journal.onFlush(() => this.#wake());
    this.#wake();
  }

  /** Ships everything that the journal has flushed so far. */
  async ship(): Promise<void> {
    await this.#shipUntil(Number.POSITIVE_INFINITY);
  }

  /** For whoever reads now: ships what the journal has flushed so far, or as much of it as `patienceMs` allow. Never rejects. */
  async catchUp(patienceMs: number = readerPatienceMs): Promise<void> {
    try {
      await this.#shipUntil(performance.now() + patienceMs);
    } catch (error) {
      this.#onError(error);
    }
  }

  /** Ships the rest and lets go of the journal's files. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#unsubscribe?.();
    clearTimeout(this.#timer);
    try {
      await this.ship();
    } finally {
      await this.#forgetReader();
    }
  }

  /** What the journal has flushed so far, a piece at least; no further one is begun behind the deadline. */
  async #shipUntil(deadline: number): Promise<void> {
    const until = this.#journal.flushedSeq;
    while ((await this.#run(until)) && performance.now() < deadline) {
      // There may be more.
    }
  }

  #wake(ms = restMs): void {
    if (!this.#isStopped) {
      this.#timer ??= setTimeout(() => void this.#shipSome(), ms).unref();
    }
  }

  async #shipSome(): Promise<void> {
    const startedAt = performance.now();
    let hasMore = false;
    try {
      hasMore = await this.#run(this.#journal.flushedSeq);
    } catch (error) {
      this.#onError(error);
    }
    this.#timer = undefined;
    if (hasMore) {
      this.#wake(Math.max(restMs, (performance.now() - startedAt) * restsPerRun));
    }
  }

  /** One piece at a time, whoever asks. False: nothing was left. */
  async #run(until: number): Promise<boolean> {
    while (this.#running !== undefined) {
      await this.#running.catch(nothing);
    }
    this.#running = this.#shipPiece(until);
    try {
      return await this.#running;
    } finally {
      this.#running = undefined;
    }
  }

  async #shipPiece(until: number): Promise<boolean> {
    try {
      this.#reader ??= new JournalReader(this.#folder, await this.#lastShipped());
      const lines = await this.#reader.read(bytesPerInsert, until);
      if (lines.length > 0) {
        await this.#insert(lines);
      }
      return lines.length > 0;
    } catch (error) {
      // The reader is past what was not inserted: the next run asks the store again where to go on.
      await this.#forgetReader();
      throw error;
    }
  }

  async #lastShipped(): Promise<number> {
    const row = await this.#store.db
      .selectFrom("audit_records")
      .select((expression) => expression.fn.max("seq").as("seq"))
      .where("journal", "=", this.#journal.id)
      .executeTakeFirst();
    return Number(row?.seq ?? 0);
  }

  async #insert(lines: readonly JournalLine[]): Promise<void> {
    await this.#store.db.executeQuery(
      CompiledQuery.raw(insertRecords, [this.#journal.id, toJsonArray(lines)]),
    );
  }

  async #forgetReader(): Promise<void> {
    const reader = this.#reader;
    this.#reader = undefined;
    await reader?.close();
  }
}

/** The records as one JSON array, still bytes: as a text they would be decoded here, and encoded once more for the store's thread. */
function toJsonArray(lines: readonly JournalLine[]): Uint8Array {
  const bytes = new Uint8Array(lines.reduce((sum, { line }) => sum + line.length + 1, 1));
  let offset = 0;
  for (const { line } of lines) {
    bytes[offset] = offset === 0 ? jsonBytes.open : jsonBytes.comma;
    bytes.set(line, offset + 1);
    offset += 1 + line.length;
  }
  bytes[offset] = jsonBytes.close;
  return bytes;
}

const jsonBytes = { open: 0x5b, comma: 0x2c, close: 0x5d } as const;

/**
 * Takes the records apart in the store's own thread. Of an object inside of an array `value` is its exact text, as canonical
 * JSON has no space that could be left out. It is put together anew for each mention, so there is one, in a query that its OFFSET keeps
 * from being folded into the other.
 */
const insertRecords = `
  insert into audit_records
    (journal, seq, at, kind, person, database_name, grant_id, session_id, line)
  select ?, line ->> 'seq', cast(round(unixepoch(line ->> 'at', 'subsec') * 1000) as integer),
    line ->> 'kind', line ->> 'person', line ->> 'database', line ->> 'grant', line ->> 'session', line
  from (select value as line from json_each(cast(? as text)) limit -1 offset 0)
  where true
  on conflict (journal, seq) do nothing`;

function nothing(): void {}
