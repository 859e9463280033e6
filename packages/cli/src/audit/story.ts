// Joins records to what happened: a statement's intent with its outcomes, its text with the records that hold it, and one
// event with the others that always come with it. Knows no words for people.

import type { AuditRecordView } from "@jitdb/shared/api/audit";
import { candidatesOf, textOf } from "./record.ts";

/** One thing that happened. */
export interface Happening {
  readonly record: AuditRecordView;
  /** Of a statement: how it went, as far as it is known. */
  readonly outcomes: readonly AuditRecordView[];
}

/** Statements that are remembered for outcomes yet to come. */
const memory = 2000;

/** Takes records in the order of the journal, a page or all that come, and tells what they say. */
export class Story {
  /** Intents, Parses and Binds by their ids; an intent that says all of a Parse or Bind also by that one's. */
  readonly #statements = new Map<string, AuditRecordView>();
  readonly #chunks = new Map<string, string[]>();
  /** Names of functions that were called by OID, each for its session. */
  readonly #functions = new Map<string, string>();

  /** What a page says. An outcome of a statement that an earlier page told is told with it again. */
  tell(records: readonly AuditRecordView[]): Happening[] {
    const happenings = new Map<AuditRecordView, AuditRecordView[]>();
    for (const record of records) {
      const id = textOf(record, "statement");
      const statement = this.#statements.get(id);
      if (record.kind === "statement.function") {
        keep(this.#functions, functionKey(record), textOf(record, "name"));
        continue;
      }
      if (record.kind === "statement.outcome" && statement !== undefined) {
        const outcomes = happenings.get(statement) ?? [];
        happenings.set(statement, [...outcomes, record]);
        continue;
      }
      this.#remember(id, record);
      happenings.set(record, []);
    }
    const told = new Told(records);
    return [...happenings]
      .map(([record, outcomes]) => ({ record, outcomes }))
      .filter((happening) => !told.elsewhere(happening));
  }

  /** Name of the function that the record's statement calls, where another record of its session has told it. */
  functionName(record: AuditRecordView): string | undefined {
    return this.#functions.get(functionKey(record));
  }

  /** The Parse or Bind of that id, or the intent that says all of it. */
  prepared(id: string): AuditRecordView | undefined {
    return this.#statements.get(id);
  }

  /** The text that stands in chunks, as far as they are known; undefined where the beginning is missing. */
  chunks(id: string): string | undefined {
    const parts = this.#chunks.get(id);
    return parts?.[0] === undefined ? undefined : parts.join("");
  }

  #remember(id: string, record: AuditRecordView): void {
    if (record.kind === "statement.chunk") {
      if (record["parameter"] === undefined) {
        const parts = this.#chunks.get(id) ?? [];
        parts[Number(record["part"])] = textOf(record, "text");
        keep(this.#chunks, id, parts);
      }
    } else if (id !== "") {
      keep(this.#statements, id, record);
      this.#rememberSaid(record);
    }
  }

  /** An intent may say all of its Parse and Bind, which have no records then. */
  #rememberSaid(record: AuditRecordView): void {
    for (const { parse, bind } of candidatesOf(record)) {
      for (const id of [parse, bind]) {
        if (typeof id === "string" && !this.#statements.has(id)) {
          keep(this.#statements, id, record);
        }
      }
    }
  }
}

function functionKey(record: AuditRecordView): string {
  return `${textOf(record, "session")} ${record["function"]}`;
}

function keep<Value>(map: Map<string, Value>, id: string, value: Value): void {
  map.set(id, value);
  const [oldest] = map.keys();
  if (map.size > memory && oldest !== undefined) {
    map.delete(oldest);
  }
}

/** What other records of the same page tell already. */
class Told {
  /** Ids of the Parses and Binds that an intent names. */
  readonly #prepared: ReadonlySet<string>;
  /** Ids of the statements that are there themselves, beside their chunks. */
  readonly #statements: ReadonlySet<string>;
  readonly #startedGrants: ReadonlySet<string>;
  readonly #createdUsers: ReadonlySet<string>;

  constructor(records: readonly AuditRecordView[]) {
    const of = (kind: string, field: string) =>
      records.filter((record) => record.kind === kind).map((record) => textOf(record, field));
    const intents = records.filter(({ kind }) => kind === "statement.intent");
    const named = intents.flatMap(candidatesOf).flatMap(({ parse, bind }) => [parse, bind]);
    this.#prepared = new Set(named.filter((id) => typeof id === "string"));
    this.#statements = new Set(
      ["statement.intent", "statement.parse", "statement.bind"].flatMap((kind) =>
        of(kind, "statement"),
      ),
    );
    this.#startedGrants = new Set(of("grant.started", "grant"));
    this.#createdUsers = new Set(of("user.created", "user"));
  }

  elsewhere({ record, outcomes }: Happening): boolean {
    const id = textOf(record, "statement");
    switch (record.kind) {
      case "statement.parse":
      case "statement.bind":
        // One that failed has an outcome of its own, and that has to be seen.
        return outcomes.length === 0 && this.#prepared.has(id);
      case "statement.chunk":
        return this.#statements.has(id);
      case "request.granted":
        return this.#startedGrants.has(textOf(record, "grant"));
      case "user.planned":
        return this.#createdUsers.has(textOf(record, "user"));
      default:
        return false;
    }
  }
}
