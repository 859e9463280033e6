// What the client asks for: puts it on record before it is forwarded, and notes what the server will have to answer.

import { JitdbError } from "@jitdb/shared/errors";
import type { Segment } from "@jitdb/shared/postgres/decoder";
import {
  nameKey,
  parseBind,
  parseClose,
  parseEmpty,
  parseExecute,
  parseFunctionCall,
  parseParse,
  parseQuery,
} from "@jitdb/shared/postgres/frontend";
import { frontendMessages, messageName } from "@jitdb/shared/postgres/messages";
import type { AuditEvent, RecordedParameters, RecordedText } from "../../../audit/record.ts";
import type { Masker } from "../../../audit/statements/masker.ts";
import { recordBytes, recordShortText, TextRecorder } from "../../../audit/statements/text.ts";
import { BodyDigest, bodyPart, createCollector, isLarge, LongText } from "./bodies.ts";
import type { Conversation } from "./conversation.ts";
import type { Running } from "./expected.ts";
import type { SessionRecords } from "./records.ts";
import {
  keepParameters,
  keepPrepared,
  makesCode,
  mayTakeNames,
  portalCandidates,
  readLongBind,
  recordParameters,
  statementCandidates,
  takesNames,
} from "./statements.ts";

const {
  Bind,
  Close,
  CopyData,
  CopyDone,
  CopyFail,
  Describe,
  Execute,
  Flush,
  FunctionCall,
  Parse,
  Query,
  Sync,
  Terminate,
} = frontendMessages;

const copyMessages = new Set<number>([CopyData, CopyDone, CopyFail]);
/** What a server takes while it reads COPY data. */
const allowedInCopy = new Set<number>([CopyData, CopyDone, CopyFail, Flush, Sync, Terminate]);

type Long =
  | { readonly id: string; readonly text: LongText }
  | { readonly id: string; readonly digest: BodyDigest };

/** A Bind or what is known of a long one. */
interface BindFields {
  readonly portal: Uint8Array;
  readonly statement: Uint8Array;
  readonly bytes: number;
  readonly record: (isSecret: boolean) => RecordedParameters;
}

export class ClientSide {
  readonly #conversation: Conversation;
  readonly #records: SessionRecords;
  readonly #masker: Masker;
  readonly #collector = createCollector();
  readonly #handlers = new Map<number, (body: Uint8Array) => void>([
    [Query, (body) => this.#shortQuery(body)],
    [Parse, (body) => this.#shortParse(body)],
    [Bind, (body) => this.#shortBind(body)],
    [Execute, (body) => this.#execute(body)],
    [FunctionCall, (body) => this.#shortFunctionCall(body)],
    [Describe, () => this.#describe()],
    [Close, (body) => this.#close(body)],
    [Sync, (body) => this.#sync(body)],
    [Flush, (body) => parseEmpty(body)],
    [CopyDone, () => this.#endCopy()],
    [CopyFail, () => this.#endCopy()],
  ]);
  #long: Long | undefined;

  constructor(conversation: Conversation, records: SessionRecords, masker: Masker) {
    this.#conversation = conversation;
    this.#records = records;
    this.#masker = masker;
  }

  /** @throws JitdbError `postgres.protocol`, `postgres.too_large`, `limit.reached`: the message must not be forwarded */
  take(chunk: Uint8Array, segment: Segment): void {
    const { type } = segment;
    if (segment.first) {
      this.#refuse(type);
    }
    if (type === CopyData) {
      this.#countCopy(segment.end - segment.bodyStart);
    } else if (isLarge(segment) && isStreamed(type)) {
      this.#takeLong(chunk, segment);
    } else {
      const body = this.#collector.add(chunk, segment);
      if (body !== undefined) {
        this.#message(type, body);
      }
    }
  }

  /** The session ends: what is there of a long message was never forwarded whole, so that it did not run. */
  abandon(): void {
    const long = this.#long;
    this.#long = undefined;
    if (long === undefined || !("text" in long)) {
      return;
    }
    const { encoding } = this.#conversation.syntax;
    this.#records.append({
      kind: "statement.intent",
      ...this.#records.subject,
      statement: long.id,
      protocol: "query",
      ...long.text.abandon(),
      encoding,
    });
    this.#records.settleMessage(long.id, "refused");
  }

  /** SECURITY: what leaves open which messages the server will skip would let a statement run that is recorded as skipped. */
  #refuse(type: number): void {
    const { running, isUndecided, isSkipping, isAfterCopy, replies } = this.#conversation;
    const isInCopy = running?.isCopyingIn === true || running?.hasPassedSync === true;
    if ((isInCopy || isUndecided) && !allowedInCopy.has(type)) {
      throw unexpected(type, "while the database reads COPY data");
    }
    const mayBringCopy = isInCopy || isSkipping || isAfterCopy || replies.length === 0;
    if (copyMessages.has(type) && !mayBringCopy) {
      throw unexpected(type, "before the database asked for COPY data");
    }
    if (type === frontendMessages.PasswordMessage) {
      throw unexpected(type, "after the login");
    }
  }

  #countCopy(bytes: number): void {
    const { running } = this.#conversation;
    if (running !== undefined) {
      running.bytesIn += bytes;
    }
  }

  #takeLong(chunk: Uint8Array, segment: Segment): void {
    const { type } = segment;
    if (segment.first) {
      this.#conversation.replies.reserve();
      this.#long = this.#beginLong(type);
    }
    const long = this.#long;
    if (long === undefined) {
      throw new RangeError("take without the message's first segment");
    }
    const part = bodyPart(chunk, segment);
    if ("text" in long) {
      long.text.add(part);
    } else {
      long.digest.add(part);
    }
    if (segment.last) {
      this.#endLong(type, long);
      this.#long = undefined;
    }
  }

  #beginLong(type: number): Long {
    const id = this.#records.createId();
    if (type !== Query && type !== Parse) {
      return { id, digest: new BodyDigest() };
    }
    const { subject } = this.#records;
    const { syntax } = this.#conversation;
    const append = (event: AuditEvent) => this.#records.append(event);
    const masker = this.#masker;
    const recorder = new TextRecorder({ statement: id, subject, append, masker, syntax });
    return { id, text: new LongText(type, recorder) };
  }

  #endLong(type: number, long: Long): void {
    if ("text" in long) {
      this.#conversation.hasMadeCode = true;
      const { name, text } = long.text.finish();
      if (type === Query) {
        this.#query(long.id, text, true);
      } else {
        const flags = { hidesParameters: long.text.hidesParameters, takesNames: true };
        this.#parse(long.id, name, text, flags, Number.POSITIVE_INFINITY);
      }
      return;
    }
    const { start, whole } = long.digest.finish();
    if (type === FunctionCall) {
      const oid = Buffer.from(start).readUInt32BE();
      this.#functionCall(long.id, oid, whole);
      return;
    }
    const fields = readLongBind(start);
    if (fields === undefined) {
      throw new JitdbError("postgres.protocol", "Malformed Bind message: its names have no end.");
    }
    this.#bind(long.id, { ...fields, bytes: whole.length, record: () => whole });
  }

  #message(type: number, body: Uint8Array): void {
    this.#conversation.replies.reserve();
    // Terminate ends it all.
    this.#handlers.get(type)?.(body);
  }

  #shortQuery(body: Uint8Array): void {
    const { text } = parseQuery(body);
    this.#conversation.hasMadeCode ||= makesCode(text);
    const recorded = recordShortText(text, this.#masker, this.#conversation.syntax);
    this.#query(this.#records.createId(), withoutFlag(recorded), takesNames(text));
  }

  #query(statement: string, text: RecordedText, mayTake: boolean): void {
    this.#records.append({
      kind: "statement.intent",
      ...this.#records.subject,
      statement,
      protocol: "query",
      ...text,
      encoding: this.#conversation.syntax.encoding,
    });
    this.#run("query", statement, "", mayTake);
  }

  #shortParse(body: Uint8Array): void {
    const { statement: name, text } = parseParse(body);
    this.#conversation.hasMadeCode ||= makesCode(text);
    const recorded = recordShortText(text, this.#masker, this.#conversation.syntax);
    const flags = { hidesParameters: recorded.hidesParameters, takesNames: takesNames(text) };
    this.#parse(this.#records.createId(), name, withoutFlag(recorded), flags, text.length);
  }

  #parse(
    id: string,
    name: Uint8Array,
    text: RecordedText,
    flags: { readonly hidesParameters: boolean; readonly takesNames: boolean },
    bytes: number,
  ): void {
    const { prepared, replies, isSkipping, syntax } = this.#conversation;
    this.#records.append({
      kind: "statement.parse",
      ...this.#records.subject,
      statement: id,
      name: recordBytes(name),
      ...text,
      encoding: syntax.encoding,
    });
    if (!isSkipping) {
      const key = nameKey(name);
      const weight = { bytes, names: prepared.size };
      prepared.expect(key, keepPrepared(id, text, flags, weight), replies.run);
      replies.push({ kind: "parse", name: key, id });
    }
  }

  #shortBind(body: Uint8Array): void {
    const bind = parseBind(body);
    this.#bind(this.#records.createId(), {
      portal: bind.portal,
      statement: bind.statement,
      bytes: body.length,
      record: (isSecret) =>
        recordParameters(
          bind.parameters,
          bind.parameterFormats,
          isSecret,
          this.#masker,
          this.#conversation.syntax,
        ),
    });
  }

  #bind(id: string, { portal, statement, bytes, record }: BindFields): void {
    const { prepared, portals, replies, isSkipping, syntax } = this.#conversation;
    const statementName = nameKey(statement);
    const meanings = prepared.possible(statementName, replies.run);
    const parameters = record(meanings.values.some(({ hidesParameters }) => hidesParameters));
    this.#records.append({
      kind: "statement.bind",
      ...this.#records.subject,
      statement: id,
      portal: recordBytes(portal),
      candidates: statementCandidates(meanings),
      parameters,
      encoding: syntax.encoding,
    });
    if (!isSkipping) {
      const key = nameKey(portal);
      const kept = keepParameters(parameters, { bytes, names: portals.size });
      const bound = {
        id,
        prepared: meanings,
        statementName,
        parameters: kept,
        meaning: undefined,
      };
      portals.expect(key, bound, replies.run);
      replies.push({ kind: "bind", name: key, id });
    }
  }

  #execute(body: Uint8Array): void {
    const { portal, maxRows } = parseExecute(body);
    const { portals, replies, syntax } = this.#conversation;
    const key = nameKey(portal);
    const meanings = portals.possible(key, replies.run);
    const statement = this.#records.createId();
    this.#records.append({
      kind: "statement.intent",
      ...this.#records.subject,
      statement,
      protocol: "execute",
      portal: recordBytes(portal),
      ...(maxRows > 0 ? { maxRows } : {}),
      candidates: portalCandidates(meanings),
      encoding: syntax.encoding,
    });
    this.#run("execute", statement, key, mayTakeNames(meanings));
  }

  #shortFunctionCall(body: Uint8Array): void {
    const call = parseFunctionCall(body);
    const { syntax } = this.#conversation;
    const { arguments: values, argumentFormats, functionOid } = call;
    const parameters = recordParameters(values, argumentFormats, false, this.#masker, syntax);
    this.#functionCall(this.#records.createId(), functionOid, parameters);
  }

  #functionCall(statement: string, oid: number, parameters: RecordedParameters): void {
    this.#records.append({
      kind: "statement.intent",
      ...this.#records.subject,
      statement,
      protocol: "function",
      function: oid,
      parameters,
      encoding: this.#conversation.syntax.encoding,
    });
    this.#run("function", statement, "", false);
  }

  #run(kind: Running["kind"], statement: string, portal: string, mayTake: boolean): void {
    const conversation = this.#conversation;
    conversation.statements += 1;
    const running: Running = {
      kind,
      statement,
      portal,
      startedAt: this.#records.now(),
      order: conversation.statements,
      takesNames: mayTake || conversation.hasMadeCode,
      results: 0,
      hasFailed: false,
      bytesIn: 0,
      bytesOut: 0,
      isCopyingIn: false,
      hasPassedSync: false,
    };
    if (conversation.isSkipping) {
      this.#records.settle(running, "skipped");
      return;
    }
    if (running.takesNames) {
      conversation.doubtAsked();
    }
    conversation.replies.push(running);
  }

  #describe(): void {
    if (!this.#conversation.isSkipping) {
      this.#conversation.replies.push({ kind: "describe" });
    }
  }

  #close(body: Uint8Array): void {
    const { kind: target, name } = parseClose(body);
    if (!this.#conversation.isSkipping) {
      this.#conversation.replies.push({ kind: "close", target, name: nameKey(name) });
    }
  }

  #sync(body: Uint8Array): void {
    parseEmpty(body);
    const { running, replies } = this.#conversation;
    if (running?.isCopyingIn === true) {
      running.hasPassedSync = true;
      return;
    }
    this.#conversation.isSkipping = false;
    replies.push({ kind: "sync" });
  }

  #endCopy(): void {
    const { running } = this.#conversation;
    if (running !== undefined) {
      running.isCopyingIn = false;
    }
  }
}

function isStreamed(type: number): boolean {
  return type === Query || type === Parse || type === Bind || type === FunctionCall;
}

function withoutFlag({ text, masked }: RecordedText): RecordedText {
  return masked === undefined ? { text } : { text, masked };
}

function unexpected(type: number, when: string): JitdbError {
  const name = messageName("frontend", type) ?? "unknown";
  return new JitdbError("postgres.protocol", `The client sent a ${name} message ${when}.`);
}
