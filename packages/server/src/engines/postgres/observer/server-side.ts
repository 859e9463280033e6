// What the server confirms: settles what the client asked for, and says how it went.

import { JitdbError } from "@jitdb/shared/errors";
import {
  parseCommandComplete,
  parseParameterStatus,
  parseReadyForQuery,
} from "@jitdb/shared/postgres/backend";
import { bodyBytesIn, type Segment } from "@jitdb/shared/postgres/decoder";
import { backendMessages, messageName } from "@jitdb/shared/postgres/messages";
import { parseParameterDescription } from "@jitdb/shared/postgres/rows";
import type { OutcomeDetails } from "../../../audit/ordered.ts";
import type { StatementResult } from "../../../audit/record.ts";
import { BodyStart, bodyBytes, bodyLimits } from "./bodies.ts";
import type { Conversation } from "./conversation.ts";
import { type Expected, isRunning, type Running } from "./expected.ts";
import type { SessionRecords } from "./records.ts";

const {
  BindComplete,
  CloseComplete,
  CommandComplete,
  CopyBothResponse,
  CopyData,
  CopyInResponse,
  DataRow,
  EmptyQueryResponse,
  ErrorResponse,
  FunctionCallResponse,
  NoData,
  ParameterDescription,
  ParameterStatus,
  ParseComplete,
  PortalSuspended,
  ReadyForQuery,
  RowDescription,
} = backendMessages;

type Read = (side: ServerSide, body: Uint8Array, isWhole: boolean) => void;

export class ServerSide {
  /** Messages whose bodies say something. */
  static readonly #readers = new Map<number, Read>([
    [CommandComplete, (side, body) => side.#commandComplete(body)],
    [ErrorResponse, (side, body) => side.#error(body)],
    [ReadyForQuery, (side, body) => side.#ready(body)],
    [ParameterDescription, (side, body, isWhole) => side.#parameterTypes(body, isWhole)],
    [ParameterStatus, (side, body, isWhole) => side.#parameter(body, isWhole)],
  ]);
  /** Messages whose coming is all they say. The others settle nothing. */
  static readonly #handlers = new Map<number, (side: ServerSide) => void>([
    [ParseComplete, (side) => side.#parseComplete()],
    [BindComplete, (side) => side.#bindComplete()],
    [CloseComplete, (side) => side.#closeComplete()],
    [NoData, (side) => side.#described()],
    [RowDescription, (side) => side.#described()],
    [EmptyQueryResponse, (side) => side.#result("empty", {})],
    [PortalSuspended, (side) => side.#result("suspended", {})],
    [FunctionCallResponse, (side) => side.#result("complete", {})],
    [CopyInResponse, (side) => side.#copyIn()],
    [CopyBothResponse, (side) => side.#copyBoth()],
  ]);

  readonly #conversation: Conversation;
  readonly #records: SessionRecords;
  readonly #bodies = new BodyStart(bodyLimits.startBytes);

  constructor(conversation: Conversation, records: SessionRecords) {
    this.#conversation = conversation;
    this.#records = records;
  }

  /** @throws JitdbError `postgres.protocol` for what nobody asked for: what runs could not be told any more */
  take(chunk: Uint8Array, segment: Segment): void {
    const { type } = segment;
    if (type === DataRow || type === CopyData || type === FunctionCallResponse) {
      const messages = Number(segment.first) + segment.followers;
      this.#count(bodyBytesIn(segment), type === DataRow ? messages : 0);
    }
    const reader = ServerSide.#readers.get(type);
    if (reader === undefined) {
      if (segment.last) {
        ServerSide.#handlers.get(type)?.(this);
      }
      return;
    }
    const body = this.#bodies.add(chunk, segment);
    if (body !== undefined) {
      reader(this, body, bodyBytes(segment) === body.length);
    }
  }

  #count(bytes: number, rows: number): void {
    const { running } = this.#conversation;
    if (running !== undefined) {
      running.bytesOut += bytes;
      running.rows += rows;
    }
  }

  #commandComplete(body: Uint8Array): void {
    const { tag, rows } = parseCommandComplete(body);
    this.#result("complete", rows === undefined ? { tag } : { tag, rows });
  }

  #parseComplete(): void {
    const { name } = this.#shift("parse", ParseComplete);
    this.#conversation.prepared.settle(name, true);
  }

  #bindComplete(): void {
    const { prepared, portals } = this.#conversation;
    const { name } = this.#shift("bind", BindComplete);
    portals.settle(name, true);
    const bound = portals.current(name).value;
    if (bound !== undefined) {
      bound.meaning = prepared.current(bound.statementName);
    }
  }

  #closeComplete(): void {
    const { target, name } = this.#shift("close", CloseComplete);
    const { prepared, portals } = this.#conversation;
    (target === "statement" ? prepared : portals).forget(name);
  }

  /** The server tells the types of a prepared statement's parameters: how binary values of them are to be read. */
  #parameterTypes(body: Uint8Array, isWhole: boolean): void {
    const { replies, prepared } = this.#conversation;
    const { head } = replies;
    if (head?.kind !== "describe" || head.target !== "statement" || !isWhole) {
      return;
    }
    const { value, isCertain } = prepared.current(head.name);
    if (value !== undefined && isCertain) {
      value.types = parseParameterDescription(body);
    }
  }

  #described(): void {
    const { replies, running } = this.#conversation;
    if (running?.kind !== "query") {
      this.#expect("describe", RowDescription);
      replies.shift();
    }
  }

  #result(result: StatementResult, details: OutcomeDetails): void {
    const conversation = this.#conversation;
    const running = conversation.running;
    if (running === undefined) {
      throw unexpected(CommandComplete);
    }
    running.isCopyingIn = false;
    if (running.kind === "execute") {
      conversation.replies.shift();
      conversation.lastExecute = running.statement;
      this.#settle(running, result, { ...details, ...this.#whatRan(running) });
    } else {
      this.#settle(running, result, details);
    }
  }

  #settle(running: Running, result: StatementResult, details: OutcomeDetails): void {
    this.#records.settle(running, result, details);
    // A failed one counts, too: PREPARE and DEALLOCATE are not rolled back.
    if (running.takesNames) {
      this.#conversation.doubtDone();
    }
  }

  /** The statement behind an Execute's portal, unless SQL may have changed what its name means. */
  #whatRan({ portal }: Running): OutcomeDetails {
    const { value: bound, isCertain } = this.#conversation.portals.current(portal);
    if (!isCertain) {
      return {};
    }
    if (bound === undefined) {
      return { parse: null };
    }
    return bound.meaning?.isCertain === true
      ? { parse: bound.meaning.value?.id ?? null, bind: bound.id }
      : { bind: bound.id };
  }

  #copyIn(): void {
    const { running, replies } = this.#conversation;
    if (running === undefined) {
      throw unexpected(CopyInResponse);
    }
    running.isCopyingIn = true;
    running.hasPassedSync = replies.dropSyncsBehindHead() > 0;
    if (replies.length > 1) {
      // SECURITY: the server takes none of them for a statement, unless the COPY fails first. Which, nobody can tell.
      throw new JitdbError("postgres.protocol", "The client sent statements behind a COPY.");
    }
  }

  #error(body: Uint8Array): void {
    const sqlstate = field(body, fields.sqlstate);
    const { replies, lastExecute } = this.#conversation;
    const { head } = replies;
    if (head === undefined) {
      // SECURITY: behind an error that answers nothing, what the server skips could not be told. A fatal one ends it.
      if (field(body, fields.severity) === "ERROR") {
        throw unexpected(ErrorResponse);
      }
      return;
    }
    if (head.kind === "sync") {
      // The transaction that the Sync ends could not be committed.
      if (lastExecute !== undefined) {
        this.#records.settleMessage(lastExecute, "error", sqlstate);
      }
      return;
    }
    if (head.kind === "query" || head.kind === "function") {
      this.#fail(head, sqlstate);
      return;
    }
    replies.shift();
    this.#failed(head, sqlstate);
    const skipped = replies.shiftRun();
    for (const entry of skipped) {
      this.#skipped(entry);
    }
    this.#conversation.isSkipping = replies.length === 0;
    this.#conversation.isUndecided = isRunning(head) && head.hasPassedSync;
    if (this.#conversation.isUndecided && skipped.length > 0) {
      throw new JitdbError("postgres.protocol", "The client sent statements behind a COPY.");
    }
  }

  #fail(running: Running, sqlstate: string): void {
    this.#conversation.isAfterCopy ||= running.isCopyingIn || running.bytesIn > 0;
    running.isCopyingIn = false;
    running.hasFailed = true;
    this.#settle(running, "error", { sqlstate });
  }

  #failed(entry: Expected, sqlstate: string): void {
    if (isRunning(entry)) {
      this.#conversation.isAfterCopy ||= entry.isCopyingIn || entry.bytesIn > 0;
      this.#settle(entry, "error", { sqlstate, ...this.#whatRan(entry) });
    } else if (entry.kind === "parse" || entry.kind === "bind") {
      this.#names(entry.kind).settle(entry.name, false);
      this.#records.settleMessage(entry.id, "error", sqlstate);
    }
  }

  #skipped(entry: Expected): void {
    if (isRunning(entry)) {
      this.#records.settle(entry, "skipped");
    } else if (entry.kind === "parse" || entry.kind === "bind") {
      this.#names(entry.kind).settle(entry.name, false);
    }
  }

  #names(kind: "parse" | "bind") {
    return kind === "parse" ? this.#conversation.prepared : this.#conversation.portals;
  }

  #ready(body: Uint8Array): void {
    const conversation = this.#conversation;
    const state = parseReadyForQuery(body);
    const { head } = conversation.replies;
    // Otherwise it answers a Sync that was sent into a COPY that had failed: no statement is left without a result.
    const isAnswer = head?.kind === "sync" || (isRunning(head) && head.results > 0);
    if (isAnswer) {
      conversation.replies.shift();
    } else if (head !== undefined) {
      throw unexpected(ReadyForQuery);
    }
    this.#records.release(state);
    conversation.isAfterCopy = false;
    conversation.isUndecided = false;
    conversation.lastExecute = undefined;
    if (state === "idle") {
      // A portal lives as long as its transaction.
      conversation.portals.forgetAll();
    }
  }

  #copyBoth(): never {
    throw new JitdbError("postgres.protocol", "Replication is not for this listener.");
  }

  #parameter(body: Uint8Array, isWhole: boolean): void {
    if (!isWhole) {
      // A value too long to be one of those that matter here.
      return;
    }
    const { name, value } = parseParameterStatus(body);
    const { syntax } = this.#conversation;
    if (name === "client_encoding") {
      this.#conversation.setEncoding(value);
    } else if (name === "standard_conforming_strings") {
      this.#conversation.syntax = { ...syntax, standardStrings: value === "on" };
    }
  }

  #expect<Kind extends Expected["kind"]>(kind: Kind, reply: number): Expected & { kind: Kind } {
    const { head } = this.#conversation.replies;
    if (head?.kind !== kind) {
      throw unexpected(reply);
    }
    return head as Expected & { kind: Kind };
  }

  #shift<Kind extends Expected["kind"]>(kind: Kind, reply: number): Expected & { kind: Kind } {
    const entry = this.#expect(kind, reply);
    this.#conversation.replies.shift();
    return entry;
  }
}

/** Field types of an ErrorResponse (PostgreSQL manual, "Error and Notice Message Fields"). */
const fields = { severity: 0x56, sqlstate: 0x43 } as const;

/** A field of an ErrorResponse, which may be cut behind it; "" if a server leaves it out. */
function field(body: Uint8Array, type: number): string {
  for (let at = 0; at < body.length; ) {
    const end = body.indexOf(0, at);
    if (body[at] === type && end !== -1) {
      return Buffer.from(body.subarray(at + 1, end)).toString("latin1");
    }
    at = end === -1 ? body.length : end + 1;
  }
  return "";
}

function unexpected(type: number): JitdbError {
  const name = messageName("backend", type) ?? "unknown";
  return new JitdbError("postgres.protocol", `The database sent a ${name} that nobody asked for.`);
}
