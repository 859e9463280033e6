// The records that come with every statement. Their fields stand in the order of canonical JSON, with places for what the journal adds:
// they are written as they are, and nothing is sorted or copied. All other records are plain objects.

import type { EventOf, RecordedText, SessionEnd, StatementResult, Subject } from "./record.ts";

/** A record that the journal fills and writes as it stands. Its fields are declared in the order of their names (UTF-16), and hold no object whose keys are in another one. */
export abstract class OrderedRecord {
  /** These three are the journal's. */
  abstract at: string;
  abstract prev: string;
  abstract seq: number;
}

/** A Query message whose text stands in the record itself. */
export class QueryIntent extends OrderedRecord implements Subject {
  readonly address: Subject["address"];
  at = "";
  readonly breakGlass: Subject["breakGlass"];
  readonly database: Subject["database"];
  readonly device: Subject["device"];
  readonly encoding: string;
  readonly grant: Subject["grant"];
  readonly kind = "statement.intent";
  readonly masked: RecordedText["masked"];
  readonly person: Subject["person"];
  prev = "";
  readonly protocol = "query";
  seq = 0;
  readonly session: Subject["session"];
  readonly statement: string;
  readonly text: string;

  constructor(
    subject: Subject,
    statement: string,
    text: string,
    masked: RecordedText["masked"],
    encoding: string,
  ) {
    super();
    this.address = subject.address;
    this.breakGlass = subject.breakGlass;
    this.database = subject.database;
    this.device = subject.device;
    this.encoding = encoding;
    this.grant = subject.grant;
    this.masked = masked;
    this.person = subject.person;
    this.session = subject.session;
    this.statement = statement;
    this.text = text;
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

export class StatementOutcome extends OrderedRecord implements Outcome {
  readonly address: Subject["address"];
  at = "";
  readonly bind: string | undefined;
  readonly breakGlass: Subject["breakGlass"];
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly database: Subject["database"];
  readonly device: Subject["device"];
  readonly durationMs: number;
  readonly endedBy: SessionEnd | undefined;
  readonly grant: Subject["grant"];
  readonly index: number | undefined;
  readonly kind = "statement.outcome";
  readonly parse: string | null | undefined;
  readonly person: Subject["person"];
  prev = "";
  readonly result: StatementResult;
  readonly rows: number | undefined;
  seq = 0;
  readonly session: Subject["session"];
  readonly sqlstate: string | undefined;
  readonly statement: string;
  readonly tag: string | undefined;
  /** Told by the ReadyForQuery behind it, until the record is written. */
  transaction: Outcome["transaction"];

  constructor(
    subject: Subject,
    statement: string,
    result: StatementResult,
    { bytesIn, bytesOut, durationMs }: Passed,
    details: OutcomeDetails,
  ) {
    super();
    this.address = subject.address;
    this.bind = details.bind;
    this.breakGlass = subject.breakGlass;
    this.bytesIn = bytesIn;
    this.bytesOut = bytesOut;
    this.database = subject.database;
    this.device = subject.device;
    this.durationMs = durationMs;
    this.endedBy = details.endedBy;
    this.grant = subject.grant;
    this.index = details.index;
    this.parse = details.parse;
    this.person = subject.person;
    this.result = result;
    this.rows = details.rows;
    this.session = subject.session;
    this.sqlstate = details.sqlstate;
    this.statement = statement;
    this.tag = details.tag;
  }
}
