// What PostgreSQL's own log says about sessions: one entry a report, with the lines that belong to it. Needs `traceSettings`.

import { open } from "node:fs/promises";

/**
 * Every statement with role and process id in front; parameters whole.
 * Synchronous: a backend writes its lines itself, before it runs what they are about.
 */
export const traceSettings = {
  log_statement: "all",
  log_min_duration_statement: "-1",
  log_parameter_max_length: "-1",
  log_parameter_max_length_on_error: "-1",
  log_min_messages: "notice",
  log_line_prefix: "%u %p ",
} as const;

/** One report of the server about a session: `LOG:  statement: SELECT 1`, then its DETAIL, STATEMENT and so on. */
export type TraceEntry = readonly string[];

/** What was reported of each session, by process id. */
export type Trace = ReadonlyMap<number, readonly TraceEntry[]>;

/** What a session ran, as the log has it. */
export type LoggedRun =
  | { readonly kind: "query"; readonly text: string }
  | {
      readonly kind: "execute";
      readonly text: string;
      /** In the server's words, `'…'` with doubled quotes taken away; null is NULL. */
      readonly parameters: readonly (string | null)[];
    }
  | { readonly kind: "function"; readonly oid: number };

/** Reads a growing log piece by piece. */
export class TraceReader {
  readonly #path: string;
  readonly #role: string;
  #offset = 0;

  /** @param role entries of its sessions alone */
  constructor(path: string, role: string) {
    this.#path = path;
    this.#role = role;
  }

  /** What has been logged since the last call. To be called when no session of the role is left. */
  async next(): Promise<Trace> {
    const file = await open(this.#path);
    try {
      const { size } = await file.stat();
      const bytes = Buffer.alloc(size - this.#offset);
      await file.read(bytes, 0, bytes.length, this.#offset);
      this.#offset = size;
      return parseTrace(bytes.toString("utf8"), this.#role);
    } finally {
      await file.close();
    }
  }
}

function parseTrace(log: string, role: string): Trace {
  const sessions = new Map<number, string[][]>();
  // A line of a message that is not its first begins with a tab.
  for (const line of log.split(/\n(?!\t)/)) {
    const [, user, pid, text = ""] = /^(\S*) (\d+) ([A-Z]+: {2}.*)$/s.exec(line) ?? [];
    if (user === role) {
      const entries = sessions.get(Number(pid)) ?? [];
      sessions.set(Number(pid), entries);
      const whole = text.replaceAll("\n\t", "\n");
      if (/^(DETAIL|HINT|QUERY|CONTEXT|STATEMENT): /.test(whole)) {
        entries.at(-1)?.push(whole);
      } else {
        entries.push([whole]);
      }
    }
  }
  return sessions;
}

/** What an entry says has run; undefined where it is about something else. */
export function loggedRun([head = "", ...others]: TraceEntry): LoggedRun | undefined {
  const [, oid] = /^LOG: {2}fastpath function call: ".*" \(OID (\d+)\)$/s.exec(head) ?? [];
  if (oid !== undefined) {
    return { kind: "function", oid: Number(oid) };
  }
  const [, query] = /^LOG: {2}statement: (.*)$/s.exec(head) ?? [];
  if (query !== undefined) {
    return { kind: "query", text: query };
  }
  const [, text] = /^LOG: {2}(?:execute|execute fetch from) [^:]*: (.*)$/s.exec(head) ?? [];
  return text === undefined ? undefined : { kind: "execute", text, parameters: parameters(others) };
}

/** The text of a statement that failed before it was logged as one that runs, e.g. by its grammar. */
export function failedStatement(entry: TraceEntry): string | undefined {
  const statement = entry.find((line) => line.startsWith("STATEMENT:  "));
  return isError(entry) ? statement?.slice("STATEMENT:  ".length) : undefined;
}

export function isError([head = ""]: TraceEntry): boolean {
  return /^(ERROR|FATAL): /.test(head);
}

function parameters(lines: readonly string[]): (string | null)[] {
  const detail = lines.find((line) => /^DETAIL: {2}parameters: /i.test(line)) ?? "";
  const values = detail.matchAll(/\$\d+ = (?:NULL|'((?:[^']|'')*)')/g);
  return Array.from(values, ([, value]) => value?.replaceAll("''", "'") ?? null);
}
