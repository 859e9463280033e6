// The records that come with every statement. They write themselves: what a session says in each of its records is made into text once,
// and what is left is put between. The same line as canonical JSON gives; all other records are plain objects.

import { jsonText } from "./journal/canonical.ts";
import type { EventOf, RecordedText, SessionEnd, StatementResult, Subject } from "./record.ts";

/** What the journal adds to a record. */
export interface Place {
  /** ISO time. */
  readonly at: string;
  /** Hash of the record before it. */
  readonly prev: string;
  readonly seq: number;
}

/** A record that writes itself. Its fields are what a plain one's would be, but for those of its subject. */
export abstract class OrderedRecord {
  /** The record in canonical JSON. */
  abstract line(place: Place): string;
}

/** What all statements of a grant say alike, from one place: the texts between the fields that differ. Each begins where its field's place is. */
class GrantTexts {
  readonly address: string;
  readonly breakGlass: string;
  readonly databaseAndDevice: string;
  readonly grant: string;
  readonly person: string;

  constructor({ address, breakGlass, database, device, grant, person }: Subject) {
    this.address = address === undefined ? "{" : `{"address":${jsonText(address)},`;
    this.breakGlass = field("breakGlass", breakGlass);
    this.databaseAndDevice = field("database", database) + field("device", device);
    this.grant = field("grant", grant);
    this.person = field("person", person);
  }
}

/** A grant has many sessions, most of them idle, and the texts take 500 bytes. What is forgotten is made again. */
const grantTexts = new Map<string, GrantTexts>();
const maxGrantTexts = 1000;

function grantTextsOf(subject: Subject): GrantTexts {
  const { address, breakGlass, database, device, grant, person } = subject;
  const key = JSON.stringify([address, breakGlass, database, device, grant, person]);
  const known = grantTexts.get(key);
  if (known !== undefined) {
    return known;
  }
  if (grantTexts.size >= maxGrantTexts) {
    grantTexts.clear();
  }
  const texts = new GrantTexts(subject);
  grantTexts.set(key, texts);
  return texts;
}

/** What all statements of one session say alike. */
export class SessionTexts {
  readonly ofGrant: GrantTexts;
  readonly session: string;

  constructor(subject: Subject) {
    this.ofGrant = grantTextsOf(subject);
    this.session = field("session", subject.session);
  }
}

/** A Query message whose text stands in the record itself. */
export class QueryIntent extends OrderedRecord {
  readonly kind = "statement.intent";
  readonly protocol = "query";
  readonly statement: string;
  readonly text: string;
  readonly masked: RecordedText["masked"];
  readonly encoding: string;
  readonly #texts: SessionTexts;

  constructor(
    texts: SessionTexts,
    statement: string,
    text: string,
    masked: RecordedText["masked"],
    encoding: string,
  ) {
    super();
    this.#texts = texts;
    this.statement = statement;
    this.text = text;
    this.masked = masked;
    this.encoding = encoding;
  }

  line({ at, prev, seq }: Place): string {
    const { ofGrant, session } = this.#texts;
    const { address, breakGlass, databaseAndDevice, grant, person } = ofGrant;
    return joined([
      `${address}"at":"${at}"${breakGlass}`,
      `${databaseAndDevice},"encoding":${jsonText(this.encoding)}${grant}`,
      `,"kind":"statement.intent"${field("masked", this.masked)}${person}`,
      `,"prev":"${prev}","protocol":"query","seq":${seq}`,
      `${session},"statement":"${this.statement}"`,
      `,"text":${jsonText(this.text)}}`,
    ]);
  }
}

type Outcome = EventOf<"statement.outcome">;

/** What an outcome says besides what is known of what runs. */
export type OutcomeDetails = Partial<
  Pick<Outcome, "index" | "parse" | "bind" | "tag" | "rows" | "sqlstate" | "endedBy">
>;

/** What has passed, and how long it took. */
export interface Passed {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
}

export class StatementOutcome extends OrderedRecord implements Passed {
  readonly kind = "statement.outcome";
  readonly statement: string;
  readonly result: StatementResult;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly durationMs: number;
  readonly index: number | undefined;
  readonly parse: string | null | undefined;
  readonly bind: string | undefined;
  readonly tag: string | undefined;
  readonly rows: number | undefined;
  readonly sqlstate: string | undefined;
  readonly endedBy: SessionEnd | undefined;
  /** Told by the ReadyForQuery behind it, until the record is written. */
  transaction: Outcome["transaction"];
  readonly #texts: SessionTexts;

  constructor(
    texts: SessionTexts,
    statement: string,
    result: StatementResult,
    { bytesIn, bytesOut, durationMs }: Passed,
    details: OutcomeDetails,
  ) {
    super();
    this.#texts = texts;
    this.statement = statement;
    this.result = result;
    this.bytesIn = bytesIn;
    this.bytesOut = bytesOut;
    this.durationMs = durationMs;
    this.index = details.index;
    this.parse = details.parse;
    this.bind = details.bind;
    this.tag = details.tag;
    this.rows = details.rows;
    this.sqlstate = details.sqlstate;
    this.endedBy = details.endedBy;
  }

  line({ at, prev, seq }: Place): string {
    const { ofGrant, session } = this.#texts;
    const { address, breakGlass, databaseAndDevice, grant, person } = ofGrant;
    return joined([
      `${address}"at":"${at}"${field("bind", this.bind)}${breakGlass}`,
      `,"bytesIn":${this.bytesIn},"bytesOut":${this.bytesOut}${databaseAndDevice}`,
      `,"durationMs":${this.durationMs}${field("endedBy", this.endedBy)}${grant}`,
      `${field("index", this.index)},"kind":"statement.outcome"${field("parse", this.parse)}${person}`,
      `,"prev":"${prev}","result":"${this.result}"${field("rows", this.rows)},"seq":${seq}`,
      `${session}${field("sqlstate", this.sqlstate)},"statement":"${this.statement}"`,
      `${field("tag", this.tag)}${field("transaction", this.transaction)}}`,
    ]);
  }
}

/** In one piece: a text that is put together by `+` is a tree of its parts, and costs twice as much once its bytes are wanted. */
function joined(parts: readonly string[]): string {
  return parts.join("");
}

/** A field with the comma before it; nothing for one that is undefined. Objects have their keys in order. */
function field(name: string, value: unknown): string {
  if (value === undefined) {
    return "";
  }
  return `,"${name}":${typeof value === "number" ? value : jsonText(value)}`;
}
