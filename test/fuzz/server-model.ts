// A model of PostgreSQL's main loop: takes a client's bytes, answers them as the server would, and notes what ran. It reads
// messages by itself, and knows the few statements of grammar.ts; any other text is a syntax error to it.
// Sources: PostgreSQL's postgres.c (PostgresMain, exec_*_message), portalcmds.c, copyfromparse.c; manual, "Message Flow".

import { encodeErrorResponse, encodeReadyForQuery } from "@jitdb/shared/postgres/encoder";
import { absOid } from "./grammar.ts";
import { splitMessages, withLength } from "./mutate.ts";
import {
  commandsOf,
  effects,
  isKnown,
  type Portal,
  refuse,
  rowsOf,
  ServerError,
  tagOf,
} from "./server-statements.ts";

/** A Query, Execute or FunctionCall message, in the order of the messages. */
export interface Ran {
  readonly kind: "query" | "execute" | "function";
  /** One character a byte; undefined for a portal that does not exist, null for what was made by SQL. */
  readonly text: string | null | undefined;
  result: "complete" | "empty" | "suspended" | "error" | "skipped" | "unknown";
}

const empty = new Uint8Array(0);
/** Names that are the same up to NAMEDATALEN - 1 are the same. */
const cut = (name: string) => name.slice(0, 63);
const of = (type: string, body: string | Uint8Array = empty) =>
  withLength(type.charCodeAt(0), typeof body === "string" ? Buffer.from(body, "latin1") : body);

export class ServerModel {
  readonly ran: Ran[] = [];
  /** The server has closed the connection. */
  isOver = false;
  #bytes: Uint8Array = empty;
  #replies: Uint8Array[] = [];
  #state: "idle" | "transaction" | "failed" = "idle";
  #isSkipping = false;
  #copying: { readonly ran: Ran; readonly isSimple: boolean } | undefined;
  readonly #statements = new Map<string, string | null>();
  readonly #portals = new Map<string, Portal>();

  /** Takes bytes in any pieces; the messages that answer them. */
  take(bytes: Uint8Array): Uint8Array[] {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    for (const message of splitMessages(this.#bytes)) {
      const length = message.length < 5 ? 0 : Buffer.from(message).readInt32BE(1);
      if (this.isOver || message.length < 5 || message.length !== length + 1) {
        break;
      }
      this.#bytes = this.#bytes.subarray(message.length);
      this.#message(String.fromCharCode(message[0] ?? 0), Buffer.from(message.subarray(5)));
    }
    return this.#replies.splice(0);
  }

  #message(type: string, body: Buffer): void {
    if (this.#copying !== undefined) {
      this.#inCopy(type);
    } else if (type === "X") {
      this.isOver = true;
    } else if (type === "S") {
      this.#sync();
    } else if (this.#isSkipping) {
      this.#skip(type);
    } else if (type === "Q" || type === "F") {
      this.#simple(type, body);
    } else if (!"dcfH".includes(type)) {
      this.#extended(type, body);
    }
  }

  #sync(): void {
    this.#isSkipping = false;
    this.#ready();
  }

  #ready(): void {
    if (this.#state === "idle") {
      this.#portals.clear();
    }
    this.#replies.push(encodeReadyForQuery(this.#state));
  }

  #skip(type: string): void {
    const kind = ({ Q: "query", E: "execute", F: "function" } as const)[type];
    if (kind !== undefined) {
      this.ran.push({ kind, text: undefined, result: "skipped" });
    }
  }

  #simple(type: string, body: Buffer): void {
    const text = type === "Q" ? this.#queryText(body) : undefined;
    const ran: Ran = { kind: type === "Q" ? "query" : "function", text, result: "unknown" };
    this.ran.push(ran);
    try {
      if (text === undefined) {
        ran.result = this.#function(body);
      } else {
        this.#statements.delete("");
        this.#portals.delete("");
        ran.result = this.#query(text, ran);
      }
    } catch (error) {
      this.#fail(error, ran);
    }
    if (this.#copying === undefined) {
      this.#ready();
    }
  }

  #queryText(body: Buffer): string {
    return body.subarray(0, Math.max(0, body.indexOf(0))).toString("latin1");
  }

  #query(text: string, ran: Ran): Ran["result"] {
    const commands = commandsOf(text);
    if (commands.some((command) => !isKnown(command))) {
      throw new ServerError("42601");
    }
    for (const command of commands) {
      if (command.startsWith("COPY t")) {
        this.#check(command);
        this.#replies.push(of("G", "\0\0\0"));
        this.#copying = { ran, isSimple: true };
        return "unknown";
      }
      this.#run(command);
      this.#rows(rowsOf(command));
      this.#replies.push(of("C", `${tagOf(command)}\0`));
    }
    if (commands.length === 0) {
      this.#replies.push(of("I"));
      return "empty";
    }
    return "complete";
  }

  #function(body: Buffer): Ran["result"] {
    if (this.#state === "failed" || body.length < 4 || body.readUInt32BE(0) !== absOid) {
      throw new ServerError("42883");
    }
    this.#replies.push(of("V", "\0\0\0\x015"));
    return "complete";
  }

  #extended(type: string, body: Buffer): void {
    const ran: Ran | undefined =
      type === "E" ? { kind: "execute", text: undefined, result: "unknown" } : undefined;
    if (ran !== undefined) {
      const text = this.#portals.get(cut(strings(body)[0] ?? ""))?.text;
      this.ran.push({ ...ran, text });
    }
    const noted = this.ran.at(-1);
    try {
      const result = this.#step(type, body);
      if (ran !== undefined && noted !== undefined) {
        noted.result = result;
      }
    } catch (error) {
      this.#isSkipping = true;
      this.#fail(error, ran === undefined ? undefined : noted);
    }
  }

  #step(type: string, body: Buffer): Ran["result"] {
    const [first = "", second = ""] = strings(body);
    switch (type) {
      case "P":
        return this.#parse(cut(first), second);
      case "B":
        return this.#bind(cut(first), cut(second));
      case "E":
        return this.#execute(cut(first), maxRowsOf(body));
      case "D":
        return this.#describe(first[0] ?? "", cut(first.slice(1)));
      case "C":
        (body[0] === 0x53 ? this.#statements : this.#portals).delete(cut(first.slice(1)));
        this.#replies.push(of("3"));
        return "complete";
      default:
        this.isOver = true;
        throw new ServerError("08P01");
    }
  }

  #parse(statement: string, text: string): Ran["result"] {
    if (statement === "") {
      this.#statements.delete("");
    }
    const commands = commandsOf(text);
    if (commands.length > 1 || !commands.every(isKnown)) {
      throw new ServerError("42601");
    }
    this.#check(commands[0] ?? "COMMIT");
    if (this.#statements.has(statement)) {
      throw new ServerError("42P05");
    }
    this.#statements.set(statement, text);
    this.#replies.push(of("1"));
    return "complete";
  }

  #bind(portal: string, statement: string): Ran["result"] {
    const text = this.#statements.get(statement);
    if (text === undefined) {
      throw new ServerError("26000");
    }
    this.#check(commandsOf(text ?? "SELECT 1")[0] ?? "COMMIT");
    if (portal !== "" && this.#portals.has(portal)) {
      throw new ServerError("42P03");
    }
    this.#portals.set(portal, { text, rows: undefined });
    this.#replies.push(of("2"));
    return "complete";
  }

  #describe(kind: string, named: string): Ran["result"] {
    const text = kind === "S" ? this.#statements.get(named) : this.#portals.get(named)?.text;
    if (text === undefined) {
      throw new ServerError("26000");
    }
    if (kind === "S") {
      this.#replies.push(of("t", "\0\0"));
    }
    const hasRows = rowsOf(commandsOf(text ?? "SELECT 1")[0] ?? "") > 0;
    this.#replies.push(hasRows ? of("T", "\0\0") : of("n"));
    return "complete";
  }

  #execute(named: string, maxRows: number): Ran["result"] {
    const portal = this.#portals.get(named);
    if (portal === undefined) {
      throw new ServerError("34000");
    }
    const [command] = commandsOf(portal.text ?? "SELECT 1");
    if (command === undefined) {
      this.#replies.push(of("I"));
      return "empty";
    }
    this.#check(command);
    const isFirst = portal.rows === undefined;
    if (!isFirst && rowsOf(command) === 0) {
      throw new ServerError("55000");
    }
    portal.rows ??= rowsOf(command);
    if (command.startsWith("COPY t")) {
      const ran = this.ran.at(-1);
      this.#replies.push(of("G", "\0\0\0"));
      this.#copying = ran === undefined ? undefined : { ran, isSimple: false };
      return "unknown";
    }
    if (isFirst) {
      this.#run(command);
    }
    const rows = maxRows > 0 ? Math.min(maxRows, portal.rows) : portal.rows;
    portal.rows -= rows;
    this.#rows(rows);
    const isSuspended = maxRows > 0 && rows === maxRows;
    this.#replies.push(isSuspended ? of("s") : of("C", `${tagOf(command)}\0`));
    return isSuspended ? "suspended" : "complete";
  }

  /** In a failed transaction nothing runs but its end. */
  #check(command: string): void {
    if (this.#state === "failed" && command !== "COMMIT" && command !== "ROLLBACK") {
      throw new ServerError("25P02");
    }
  }

  #rows(count: number): void {
    for (let row = 0; row < count; row += 1) {
      this.#replies.push(of("D", "\0\x01\0\0\0\x011"));
    }
  }

  /** What a command does; the replies are the caller's. */
  #run(command: string): void {
    this.#check(command);
    const effect = effects[command];
    effect?.({
      statements: this.#statements,
      portals: this.#portals,
      isInBlock: this.#state !== "idle",
      setState: (state) => {
        this.#state = state;
        if (state === "idle") {
          this.#portals.clear();
        }
      },
    });
    if (command === "COPY (SELECT 1) TO STDOUT") {
      this.#replies.push(of("H", "\0\0\0"), of("d", "1\n"), of("c"));
    }
  }

  #inCopy(type: string): void {
    const { ran, isSimple } = this.#copying ?? {};
    if (ran === undefined || "dHS".includes(type)) {
      return;
    }
    this.#copying = undefined;
    if (type === "c") {
      ran.result = "complete";
      this.#replies.push(of("C", "COPY 0\0"));
    } else {
      this.isOver = type !== "f";
      this.#isSkipping = isSimple === false;
      this.#fail(new ServerError(type === "f" ? "57014" : "08P01"), ran);
    }
    if (isSimple === true) {
      this.#ready();
    }
  }

  #fail(error: unknown, ran: Ran | undefined): void {
    if (!(error instanceof ServerError)) {
      throw error;
    }
    if (ran !== undefined) {
      ran.result = "error";
    }
    if (this.#state === "idle") {
      this.#portals.clear();
    } else {
      this.#state = "failed";
    }
    const severity = this.isOver ? "FATAL" : "ERROR";
    this.#replies.push(encodeErrorResponse({ severity, code: error.code, message: "no" }));
  }
}

/** What an Execute says behind its portal. */
function maxRowsOf(body: Buffer): number {
  const at = body.indexOf(0) + 1;
  return at > 0 && at + 4 === body.length ? body.readInt32BE(at) : refuse("08P01");
}

/** The two strings at the beginning of a body. */
function strings(body: Buffer): string[] {
  const first = body.indexOf(0);
  const second = body.indexOf(0, first + 1);
  return [
    body.subarray(0, Math.max(0, first)).toString("latin1"),
    body.subarray(first + 1, Math.max(first + 1, second)).toString("latin1"),
  ];
}
