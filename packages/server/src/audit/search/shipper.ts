// Ships the journal's records to the store, where they can be searched. The journal is the truth; this may lag behind.

import { CompiledQuery } from "kysely";
import type { Store } from "../../store/store.ts";
import type { Tables } from "../../store/tables.ts";
import { type JournalLine, JournalReader } from "../journal/reader.ts";
import type { Journal } from "../journal.ts";

/** Records of one loop turn after the other go together: the store is asked about twenty times a second at most. */
const restMs = 50;
/** Rows that go together, in one transaction. */
const rowsPerInsert = 500;

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
  #running: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
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
    while (this.#running !== undefined) {
      await this.#running;
    }
    this.#running = this.#shipAll();
    try {
      await this.#running;
    } finally {
      this.#running = undefined;
    }
  }

  /** Ships the rest and lets go of the journal's files. */
  async stop(): Promise<void> {
    this.#unsubscribe?.();
    clearTimeout(this.#timer);
    this.#timer = undefined;
    try {
      await this.ship();
    } finally {
      await this.#forgetReader();
    }
  }

  #wake(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.ship().catch(this.#onError);
    }, restMs).unref();
  }

  async #shipAll(): Promise<void> {
    try {
      this.#reader ??= new JournalReader(this.#folder, await this.#lastShipped());
      const until = this.#journal.flushedSeq;
      for (;;) {
        const lines = await this.#reader.read(1024 * 1024, until);
        if (lines.length === 0) {
          return;
        }
        await this.#insert(lines);
      }
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
    for (let start = 0; start < lines.length; start += rowsPerInsert) {
      const rows = lines.slice(start, start + rowsPerInsert).map((line) => this.#row(line));
      await this.#store.db.executeQuery(CompiledQuery.raw(insertRows(rows.length), rows.flat()));
    }
  }

  /** In the order of `columns`. */
  #row({ seq, line }: JournalLine): unknown[] {
    const text = line.toString("utf8");
    const record: ShippedFields = JSON.parse(text);
    return [
      this.#journal.id,
      seq,
      Date.parse(record.at),
      record.kind,
      record.person ?? null,
      record.database ?? null,
      record.grant ?? null,
      record.session ?? null,
      text,
    ];
  }

  async #forgetReader(): Promise<void> {
    const reader = this.#reader;
    this.#reader = undefined;
    await reader?.close();
  }
}

const columns: readonly (keyof Tables["audit_records"])[] = [
  "journal",
  "seq",
  "at",
  "kind",
  "person",
  "database_name",
  "grant_id",
  "session_id",
  "line",
];

/** Written by hand: a query builder takes as long for it as the reading of the journal. */
function insertRows(count: number): string {
  const row = `(${columns.map(() => "?").join(", ")})`;
  return `insert into audit_records (${columns.join(", ")}) values ${Array(count).fill(row).join(", ")} on conflict (journal, seq) do nothing`;
}

interface ShippedFields {
  readonly at: string;
  readonly kind: string;
  readonly person?: string;
  readonly database?: string;
  readonly grant?: string;
  readonly session?: string;
}
