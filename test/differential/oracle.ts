// The audit held against the server's own log. A server logs a statement before it runs it, so that whatever ran stands
// there: of each session, in order, every statement has to have its record, and no record may claim what did not run.

import type {
  Candidate,
  EventOf,
  RecordedBytes,
  RecordedParameter,
  RecordedText,
} from "../../packages/server/src/audit/record.ts";
import type { Journal } from "../support/journal.ts";
import {
  failedStatement,
  isError,
  type LoggedRun,
  loggedRun,
  type TraceEntry,
} from "./server-trace.ts";

type Intent = EventOf<"statement.intent">;
type Outcome = EventOf<"statement.outcome">;

export class Oracle {
  readonly #intents: ReadonlyMap<string, readonly Intent[]>;
  readonly #outcomes: ReadonlyMap<string, readonly Outcome[]>;
  readonly #parses: ReadonlyMap<string, EventOf<"statement.parse">>;
  readonly #binds: ReadonlyMap<string, EventOf<"statement.bind">>;
  readonly #chunks: ReadonlyMap<string, readonly EventOf<"statement.chunk">[]>;
  readonly #sessions: ReadonlyMap<number, string>;

  constructor(journal: Pick<Journal, "of">) {
    this.#intents = groupBy(journal.of("statement.intent"), ({ session = "" }) => session);
    this.#outcomes = groupBy(journal.of("statement.outcome"), ({ statement }) => statement);
    this.#chunks = groupBy(journal.of("statement.chunk"), ({ statement }) => statement);
    this.#parses = new Map(journal.of("statement.parse").map((one) => [one.statement, one]));
    this.#binds = new Map(journal.of("statement.bind").map((one) => [one.statement, one]));
    this.#sessions = new Map(
      journal.of("session.opened").map(({ backendPid, session = "" }) => [backendPid, session]),
    );
  }

  /** What is wrong with the record of one session, a sentence each; nothing if it is complete. */
  findings(pid: number, entries: readonly TraceEntry[]): string[] {
    const session = this.#sessions.get(pid);
    if (session === undefined) {
      return [`the session of process ${pid} is not on record`];
    }
    const intents = this.#intents.get(session) ?? [];
    const findings: string[] = [];
    let next = 0;
    for (const { run, hasFailed } of runsOf(entries)) {
      const isOf = (intent: Intent, at: number) =>
        at >= next && (hasFailed || !this.#hasOnlyFailed(intent)) && this.#isOf(intent, run);
      const found = intents.findIndex(isOf);
      if (found === -1) {
        findings.push(`not on record, or not in its place: ${describe(run)}`);
        continue;
      }
      findings.push(...this.#unfounded(intents.slice(next, found)));
      next = found + 1;
    }
    findings.push(...this.#unfounded(intents.slice(next)), ...this.#unrecorded(session, entries));
    return findings;
  }

  /** Records of statements that the server did not log as running: none of them may have come to anything. */
  #unfounded(intents: readonly Intent[]): string[] {
    return intents.flatMap((intent) => {
      const results = (this.#outcomes.get(intent.statement) ?? []).map(({ result }) => result);
      const hasRun = results.some((result) => ["complete", "suspended"].includes(result));
      return results.length === 0 || hasRun
        ? [
            `on record as ${results.join(", ") || "under way"}, and not logged: ${JSON.stringify(intent)}`,
          ]
        : [];
    });
  }

  /** Texts of statements that failed so early that the server logs them with their error alone. */
  #unrecorded(session: string, entries: readonly TraceEntry[]): string[] {
    const texts = new Set([
      ...(this.#intents.get(session) ?? []).flatMap((intent) => this.#textsOf(intent)),
      ...[...this.#parses.values()]
        .filter((parse) => parse.session === session)
        .map((parse) => this.#read(parse, parse.statement, parse.encoding)),
    ]);
    return entries
      .flatMap((entry) => failedStatement(entry) ?? [])
      .filter((text) => ![...texts].some((recorded) => isSame(recorded, text)))
      .map((text) => `failed, and is not on record: ${text}`);
  }

  #hasOnlyFailed({ statement }: Intent): boolean {
    const outcomes = this.#outcomes.get(statement) ?? [];
    return outcomes.length > 0 && outcomes.every(({ result }) => result === "error");
  }

  #isOf(intent: Intent, run: LoggedRun): boolean {
    if (run.kind === "function") {
      return intent.protocol === "function" && intent.function === run.oid;
    }
    if (run.kind === "query") {
      return (
        intent.protocol === "query" &&
        isSame(this.#read(intent, intent.statement, intent.encoding), run.text)
      );
    }
    if (intent.protocol !== "execute") {
      return false;
    }
    const [outcome] = this.#outcomes.get(intent.statement) ?? [];
    const settled = intent.candidates.filter(
      ({ bind, parse }) =>
        (outcome?.bind === undefined || outcome.bind === bind) &&
        (outcome?.parse === undefined || outcome.parse === parse),
    );
    return settled.some((candidate) => this.#isCandidate(candidate, intent, run));
  }

  #isCandidate(
    candidate: Candidate,
    { encoding, session = "" }: Intent,
    run: LoggedRun & { kind: "execute" },
  ): boolean {
    const bound = candidate.parameters ?? this.#binds.get(candidate.bind ?? "")?.parameters ?? [];
    const areSame =
      !Array.isArray(bound) ||
      run.parameters.every((value, at) => isValue(bound[at] ?? null, value, encoding));
    const isText =
      candidate.parse === null
        ? this.#isMadeBySql(session, run.text)
        : isSame(this.#textOf(candidate, encoding), run.text);
    return areSame && isText;
  }

  /** What PREPARE and DECLARE made has its text in the statement that made it. */
  #isMadeBySql(session: string, text: string): boolean {
    const intents = this.#intents.get(session) ?? [];
    return intents
      .flatMap((intent) => this.#textsOf(intent))
      .some(([whole = ""]) => whole.includes(text));
  }

  #textsOf(intent: Intent): Template[] {
    if (intent.protocol === "query") {
      return [this.#read(intent, intent.statement, intent.encoding)];
    }
    return intent.protocol === "execute"
      ? intent.candidates.map((candidate) => this.#textOf(candidate, intent.encoding))
      : [];
  }

  #textOf(candidate: Candidate, encoding: string): Template {
    if (candidate.text !== undefined) {
      return template(bytesOf(candidate.text), candidate.masked, encoding);
    }
    const parse = this.#parses.get(candidate.parse ?? "");
    return parse === undefined ? [] : this.#read(parse, parse.statement, parse.encoding);
  }

  #read({ text, masked }: RecordedText, id: string, encoding: string): Template {
    if (typeof text === "string" || "base64" in text) {
      return template(bytesOf(text), masked, encoding);
    }
    const chunks = [...(this.#chunks.get(id) ?? [])].sort((a, b) => a.part - b.part);
    return template(Buffer.concat(chunks.map((chunk) => bytesOf(chunk.text))), masked, encoding);
  }
}

/** What ran, and whether an error was logged before the next. */
function runsOf(entries: readonly TraceEntry[]): { run: LoggedRun; hasFailed: boolean }[] {
  const runs: { run: LoggedRun; hasFailed: boolean }[] = [];
  for (const entry of entries) {
    const run = loggedRun(entry);
    const last = runs.at(-1);
    if (run !== undefined) {
      runs.push({ run, hasFailed: false });
    } else if (last !== undefined && isError(entry)) {
      last.hasFailed = true;
    }
  }
  return runs;
}

/** What stands between the masked secrets of a text: one part where there are none. */
type Template = readonly string[];

const mark = "[masked]";

function template(
  bytes: Buffer,
  masks: readonly { readonly at: number }[] = [],
  encoding: string,
): Template {
  const parts: string[] = [];
  let from = 0;
  for (const { at } of masks) {
    parts.push(decode(bytes.subarray(from, at), encoding));
    from = at + mark.length;
  }
  return [...parts, decode(bytes.subarray(from), encoding)];
}

/** Whether a text is what was recorded, with anything in place of the masks. */
function isSame(parts: Template, text: string): boolean {
  const [head, ...others] = parts;
  const last = others.pop();
  if (head === undefined || last === undefined) {
    return head === text;
  }
  if (!text.startsWith(head) || !text.endsWith(last)) {
    return false;
  }
  let at = head.length;
  for (const part of others) {
    at = text.indexOf(part, at) + part.length;
  }
  return at >= head.length && at <= text.length - last.length;
}

function bytesOf(recorded: RecordedBytes): Buffer {
  return typeof recorded === "string"
    ? Buffer.from(recorded, "utf8")
    : Buffer.from(recorded.base64, "base64");
}

/** PostgreSQL's names of the encodings that scripts use. */
const encodings: Readonly<Record<string, string>> = {
  UTF8: "utf-8",
  SJIS: "shift_jis",
  WIN1252: "windows-1252",
};

function decode(bytes: Uint8Array, encoding: string): string {
  // What the web calls latin1 is windows-1252.
  return encoding === "LATIN1"
    ? Buffer.from(bytes).toString("latin1")
    : new TextDecoder(encodings[encoding] ?? encoding).decode(bytes);
}

/** Whether a parameter may be what the server printed: a text as it is, a binary value as one of its readings. */
function isValue(recorded: RecordedParameter, logged: string | null, encoding: string): boolean {
  if (recorded === null || logged === null) {
    return recorded === logged;
  }
  if (typeof recorded === "string" || "base64" in recorded) {
    const bytes = bytesOf(recorded);
    const text = decode(bytes, encoding);
    const readings = typeof recorded === "string" ? [] : binaryReadings(bytes);
    return [text, ...readings].includes(logged) || isSpelling(text, logged);
  }
  // Masked, or too long to be kept.
  return true;
}

/** Whether both spell the same value: the server logs what a type's output makes of a parameter. */
function isSpelling(text: string, logged: string): boolean {
  const [instant, other] = [Date.parse(text), Date.parse(logged)];
  const bare = text.replaceAll(/[" ]/g, "");
  return (
    instant === other ||
    bare === logged.replaceAll(/[" ]/g, "") ||
    (text === "true" && logged === "t")
  );
}

function binaryReadings(bytes: Buffer): string[] {
  const readings = [`\\x${bytes.toString("hex")}`];
  if (bytes.length === 1) {
    readings.push(bytes[0] === 1 ? "t" : "f");
  }
  if (bytes.length === 2 || bytes.length === 4) {
    readings.push(String(bytes.readIntBE(0, bytes.length)));
  }
  if (bytes.length === 8) {
    readings.push(String(bytes.readBigInt64BE()), String(bytes.readDoubleBE()));
  }
  return readings;
}

function describe(run: LoggedRun): string {
  return JSON.stringify(run).slice(0, 500);
}

function groupBy<T>(items: readonly T[], key: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(key(item)) ?? [];
    group.push(item);
    groups.set(key(item), group);
  }
  return groups;
}
