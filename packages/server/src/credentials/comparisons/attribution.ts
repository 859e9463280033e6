// Who made what a grant left behind, and with which statement: read out of the records of all grants that had a user on
// the cluster at the time. Says no more than the records do (invariant 33). Pure.

import { type Trace, tokensOf } from "../traces.ts";

/** A grant that had a user between the two snapshots. */
export interface Candidate {
  readonly grant: string;
  readonly person: string;
}

export interface Maker {
  /**
   * owner: it was handed to the keeper out of the hands of the grant's user. statement: a statement that did not fail names
   * it. none: neither is on record; somebody past jitdb made it, or code that a statement called.
   */
  readonly certainty: "owner" | "statement" | "none";
  readonly grant: string | null;
  readonly person: string | null;
  /** The last statement about it: its id, session, ISO time and the beginning of its text. */
  readonly statement: string | null;
  readonly session: string | null;
  readonly at: string | null;
  readonly text: string | null;
}

/** A trace as it is kept: with its maker, and without what was only needed to find that one. */
export interface AttributedTrace extends Omit<Trace, "words" | "kept"> {
  readonly maker: Maker;
  readonly candidates: readonly Candidate[];
}

/** A record of the journal, parsed. */
export type JournalRecord = Readonly<Record<string, unknown>>;

/** Kinds of records that are read. */
export const attributingKinds = [
  "statement.intent",
  "statement.parse",
  "statement.chunk",
  "statement.outcome",
  "user.cleaned",
] as const;

const shownText = 300;
/** Statements that are remembered for a trace; all but the last few would only be named if those had failed. */
const remembered = 50;

const makingVerbs = ["create", "into", "lo_create", "lo_creat", "lo_from_bytea", "lo_import"];
const changingVerbs = ["alter", "grant", "revoke", "drop", "comment", "prepare", "import", "do"];

interface Match {
  readonly grant: string;
  readonly makes: boolean;
  readonly statement: string;
  readonly session: string | null;
  readonly at: string | null;
  readonly text: string;
}

/** Takes the records of each candidate in their order, and tells the makers at the end. */
export class Attribution {
  readonly #traces: readonly Trace[];
  /** The grant that the comparison is about. */
  readonly #own: string;
  readonly #candidates: readonly Candidate[];
  readonly #matches: readonly Match[][];
  readonly #keptFrom: readonly Set<string>[];
  readonly #prepared = new Map<string, { readonly text: string; readonly tokens: Set<string> }>();
  readonly #failed = new Set<string>();

  constructor(traces: readonly Trace[], own: string, candidates: readonly Candidate[]) {
    this.#traces = traces;
    this.#own = own;
    this.#candidates = candidates;
    this.#matches = traces.map(() => []);
    this.#keptFrom = traces.map(() => new Set());
  }

  read(grant: string, record: JournalRecord): void {
    switch (record["kind"]) {
      case "user.cleaned":
        this.#readCleaned(grant, record["steps"]);
        break;
      case "statement.outcome":
        if (record["result"] === "error" || record["result"] === "skipped") {
          this.#failed.add(String(record["statement"]));
        }
        break;
      case "statement.parse":
        this.#prepare(record);
        break;
      default:
        this.#readStatement(grant, record);
    }
  }

  /** Those that are this grant's or may be; what the keeper got from another grant is that one's to answer for. */
  result(): AttributedTrace[] {
    return this.#traces.flatMap((trace, index) => {
      const from = this.#keptFrom[index] ?? new Set();
      if (from.size > 0 && !from.has(this.#own)) {
        return [];
      }
      const { words: _words, kept: _kept, ...shown } = trace;
      return [{ ...shown, maker: this.#makerOf(index), candidates: this.#candidates }];
    });
  }

  #makerOf(index: number): Maker {
    const isOwned = this.#keptFrom[index]?.has(this.#own) === true;
    const change = this.#traces[index]?.change;
    const matches = (this.#matches[index] ?? []).filter(
      ({ statement, grant }) => !this.#failed.has(statement) && (!isOwned || grant === this.#own),
    );
    const makes = change === "new" ? matches.findLast((match) => match.makes) : undefined;
    const match = makes ?? matches.at(-1);
    const grant = isOwned ? this.#own : (match?.grant ?? null);
    return {
      certainty: isOwned ? "owner" : match === undefined ? "none" : "statement",
      grant,
      person: this.#candidates.find((candidate) => candidate.grant === grant)?.person ?? null,
      statement: match?.statement ?? null,
      session: match?.session ?? null,
      at: match?.at ?? null,
      text: match === undefined ? null : match.text.slice(0, shownText),
    };
  }

  #readCleaned(grant: string, steps: unknown): void {
    for (const step of Array.isArray(steps) ? steps.map(String) : []) {
      for (const [index, { kept, kind, identity }] of this.#traces.entries()) {
        if (kept && step.startsWith(`handed the ${kind} ${identity} to `)) {
          this.#keptFrom[index]?.add(grant);
        }
      }
    }
  }

  #prepare(record: JournalRecord): void {
    const text = textOf(record["text"]);
    const tokens = new Set(tokensOf(text));
    if (verbOf(tokens) !== undefined) {
      this.#prepared.set(String(record["statement"]), { text, tokens });
    }
  }

  #readStatement(grant: string, record: JournalRecord): void {
    const about = {
      grant,
      statement: String(record["statement"]),
      session: stringOrNull(record["session"]),
      at: stringOrNull(record["at"]),
    };
    for (const { text, tokens } of this.#textsOf(record)) {
      const verb = verbOf(tokens);
      for (const [index, { words }] of verb === undefined ? [] : this.#traces.entries()) {
        if (words.some((group) => group.length > 0 && group.every((word) => tokens.has(word)))) {
          this.#remember(index, { ...about, makes: verb === "makes", text });
        }
      }
    }
  }

  #remember(index: number, match: Match): void {
    const matches = this.#matches[index];
    matches?.push(match);
    if (matches !== undefined && matches.length > remembered) {
      matches.shift();
    }
  }

  /** The statement's own text, and those that an Execute may mean. */
  *#textsOf(record: JournalRecord): Iterable<{ text: string; tokens: Set<string> }> {
    const own = textOf(record["text"]);
    if (own !== "") {
      yield { text: own, tokens: new Set(tokensOf(own)) };
    }
    const candidates: unknown = record["candidates"];
    for (const candidate of Array.isArray(candidates) ? (candidates as JournalRecord[]) : []) {
      const text = textOf(candidate["text"]);
      const prepared = this.#prepared.get(String(candidate["parse"]));
      if (text !== "") {
        yield { text, tokens: new Set(tokensOf(text)) };
      } else if (prepared !== undefined) {
        yield prepared;
      }
    }
  }
}

/** Whether a statement can make things, can only change them, or neither (INSERT INTO makes nothing). */
function verbOf(tokens: ReadonlySet<string>): "makes" | "changes" | undefined {
  if (makingVerbs.some((verb) => tokens.has(verb) && (verb !== "into" || !tokens.has("insert")))) {
    return "makes";
  }
  return changingVerbs.some((verb) => tokens.has(verb)) ? "changes" : undefined;
}

/** Text that is not valid UTF-8 stands in base64: its ASCII part, which keywords and most names are, can be read. */
function textOf(text: unknown): string {
  if (typeof text === "string") {
    return text;
  }
  const base64 = (text as { readonly base64?: unknown } | null | undefined)?.base64;
  return typeof base64 === "string" ? Buffer.from(base64, "base64").toString("latin1") : "";
}

function stringOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
