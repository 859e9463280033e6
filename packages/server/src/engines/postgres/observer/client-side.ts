// What the client asks for: puts it on record before it is forwarded, and notes what the server will have to answer.

import { bodyBytesIn, type Segment } from "@jitdb/shared/postgres/decoder";
import {
  nameKey,
  parseBind,
  parseClose,
  parseDescribe,
  parseEmpty,
  parseExecute,
  parseFunctionCall,
  parseParse,
  parseQuery,
} from "@jitdb/shared/postgres/frontend";
import { frontendMessages } from "@jitdb/shared/postgres/messages";
import type {
  AuditEvent,
  EventOf,
  RecordedParameters,
  RecordedText,
} from "../../../audit/record.ts";
import { asAscii, type Masker } from "../../../audit/statements/masker.ts";
import {
  recordBytes,
  recordShortText,
  type TextLimits,
  textLimits,
} from "../../../audit/statements/text.ts";
import { bodyPart, createCollector, isLarge, LongText } from "./bodies.ts";
import type { Conversation } from "./conversation.ts";
import { checkOrder } from "./copy-order.ts";
import type { Running } from "./expected.ts";
import { LongValues } from "./long-values.ts";
import type { Meanings } from "./names.ts";
import type { SessionRecords } from "./records.ts";
import {
  boundValues,
  keepParameters,
  keepPrepared,
  makesCode,
  mayTakeNames,
  type Prepared,
  portalCandidates,
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
} = frontendMessages;

/** A message that is recorded as it comes. */
interface Long {
  readonly id: string;
  readonly body: LongText | LongValues;
}

interface BindFields {
  readonly portal: Uint8Array;
  readonly meanings: Meanings<Prepared>;
  readonly statement: Uint8Array;
  readonly parameters: RecordedParameters;
  /** Bytes of the message. */
  readonly bytes: number;
}

/** Told of each call of a function by its OID, so that somebody finds out its name. */
export interface CalledFunctions {
  /** @param statement id of the call's intent */
  called(statement: string, oid: number): void;
}

export interface ClientSideOptions {
  readonly masker: Masker;
  /** As {@link TextLimits.keptBytes}; of a message's parameters all together. */
  readonly maxTextBytes: number | undefined;
  readonly functions: CalledFunctions | undefined;
}

export class ClientSide {
  static readonly #handlers = new Map<number, (side: ClientSide, body: Uint8Array) => void>([
    [Query, (side, body) => side.#shortQuery(body)],
    [Parse, (side, body) => side.#shortParse(body)],
    [Bind, (side, body) => side.#shortBind(body)],
    [Execute, (side, body) => side.#execute(body)],
    [FunctionCall, (side, body) => side.#shortFunctionCall(body)],
    [Describe, (side, body) => side.#describe(body)],
    [Close, (side, body) => side.#close(body)],
    [Sync, (side, body) => side.#sync(body)],
    [Flush, (_, body) => parseEmpty(body)],
    [CopyDone, (side) => side.#endCopy()],
    [CopyFail, (side) => side.#endCopy()],
  ]);

  readonly #conversation: Conversation;
  readonly #records: SessionRecords;
  readonly #masker: Masker;
  readonly #limits: TextLimits;
  readonly #functions: CalledFunctions | undefined;
  readonly #collector = createCollector();
  #long: Long | undefined;

  constructor(
    conversation: Conversation,
    records: SessionRecords,
    { masker, maxTextBytes: keptBytes = textLimits.keptBytes, functions }: ClientSideOptions,
  ) {
    this.#conversation = conversation;
    this.#records = records;
    this.#masker = masker;
    this.#limits = { ...textLimits, keptBytes };
    this.#functions = functions;
  }

  /** @throws JitdbError `postgres.protocol`, `postgres.too_large`, `limit.reached`: the message must not be forwarded */
  take(chunk: Uint8Array, segment: Segment): void {
    const { type } = segment;
    if (segment.first) {
      checkOrder(type, this.#conversation);
    }
    if (type === CopyData) {
      this.#countCopy(bodyBytesIn(segment));
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
    if (long === undefined || !(long.body instanceof LongText)) {
      return;
    }
    const { encoding } = this.#conversation.syntax;
    this.#records.appendQuery(long.id, long.body.abandon(), encoding);
    this.#records.settleMessage(long.id, "refused");
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
    long.body.add(bodyPart(chunk, segment));
    if (segment.last) {
      this.#endLong(type, long);
      this.#long = undefined;
    }
  }

  #beginLong(type: number): Long {
    const id = this.#records.createId();
    const { syntax } = this.#conversation;
    const options = {
      statement: id,
      subject: this.#records.subject,
      append: (event: AuditEvent) => this.#records.append(event),
      limits: this.#limits,
    };
    if (type === Query || type === Parse) {
      const filter = this.#masker.stream(syntax);
      return { id, body: new LongText(type, { ...options, filter }) };
    }
    const known = (statement: Uint8Array) => boundValues(this.#preparedBy(statement));
    const masker = this.#masker;
    return { id, body: new LongValues(type, { ...options, masker, syntax, known }) };
  }

  #endLong(type: number, { id, body }: Long): void {
    if (body instanceof LongText) {
      this.#conversation.hasMadeCode = true;
      const { name, text } = body.finish();
      if (type === Query) {
        this.#query(id, text, true);
      } else {
        const { secretParameters } = body;
        const flags = { secretParameters, takesNames: true, types: [] };
        this.#parse(id, name, text, flags, Number.POSITIVE_INFINITY);
      }
      return;
    }
    const { portal, statement, functionOid, parameters } = body.finish();
    if (type === FunctionCall) {
      this.#functionCall(id, functionOid, parameters);
    } else {
      const meanings = this.#preparedBy(statement);
      this.#bind(id, { portal, statement, meanings, parameters, bytes: Number.POSITIVE_INFINITY });
    }
  }

  #message(type: number, body: Uint8Array): void {
    this.#conversation.replies.reserve();
    // Terminate ends it all.
    ClientSide.#handlers.get(type)?.(this, body);
  }

  #shortQuery(body: Uint8Array): void {
    const { text } = parseQuery(body);
    const { recorded, mayTake } = this.#readShort(text);
    this.#query(this.#records.createId(), recorded, mayTake);
  }

  #readShort(text: Uint8Array) {
    const sql = asAscii(text);
    this.#conversation.hasMadeCode ||= makesCode(sql);
    const { syntax } = this.#conversation;
    const { recorded, secretParameters } = recordShortText(text, sql, this.#masker, syntax);
    return { recorded, secretParameters, mayTake: takesNames(sql) };
  }

  #query(statement: string, text: RecordedText, mayTake: boolean): void {
    this.#records.appendQuery(statement, text, this.#conversation.syntax.encoding);
    this.#run("query", statement, "", mayTake);
  }

  #shortParse(body: Uint8Array): void {
    const { statement: name, text, parameterTypes: types } = parseParse(body);
    const { recorded, secretParameters, mayTake } = this.#readShort(text);
    const flags = { secretParameters, takesNames: mayTake, types };
    this.#parse(this.#records.createId(), name, recorded, flags, text.length);
  }

  #parse(
    id: string,
    name: Uint8Array,
    text: RecordedText,
    flags: Pick<Prepared, "secretParameters" | "takesNames" | "types">,
    bytes: number,
  ): void {
    const { prepared, replies, isSkipping, syntax } = this.#conversation;
    const record: EventOf<"statement.parse"> = {
      kind: "statement.parse",
      ...this.#records.subject,
      statement: id,
      name: recordBytes(name),
      ...text,
      encoding: syntax.encoding,
    };
    if (isSkipping) {
      this.#records.append(record);
      return;
    }
    const key = nameKey(name);
    const value = keepPrepared(id, text, flags, { bytes, names: prepared.size });
    // A named one is meant by later intents, too, which do not follow at once.
    if (key === "" && value.text.text !== undefined) {
      this.#records.appendPreparations();
      this.#records.prepare(record);
    } else {
      this.#records.append(record);
    }
    prepared.expect(key, value, replies.run);
    replies.push({ kind: "parse", name: key, id });
  }

  #shortBind(body: Uint8Array): void {
    const { portal, statement, parameters: values, parameterFormats: formats } = parseBind(body);
    const meanings = this.#preparedBy(statement);
    const reading = { ...boundValues(meanings), formats };
    const { syntax } = this.#conversation;
    const parameters = recordParameters(values, reading, this.#masker, syntax);
    const fields = { portal, statement, meanings, parameters, bytes: body.length };
    this.#bind(this.#records.createId(), fields);
  }

  /** What a Bind that names the statement may mean by it. */
  #preparedBy(statement: Uint8Array): Meanings<Prepared> {
    const { prepared, replies } = this.#conversation;
    return prepared.possible(nameKey(statement), replies.run);
  }

  #bind(id: string, { portal, statement, meanings, parameters, bytes }: BindFields): void {
    const { portals, replies, isSkipping, syntax } = this.#conversation;
    const candidates = statementCandidates(meanings);
    this.#records.prepareBehind(candidates, {
      kind: "statement.bind",
      ...this.#records.subject,
      statement: id,
      portal: recordBytes(portal),
      candidates,
      parameters,
      encoding: syntax.encoding,
    });
    if (!isSkipping) {
      const key = nameKey(portal);
      const kept = keepParameters(parameters, { bytes, names: portals.size });
      const bound = {
        id,
        prepared: meanings,
        statementName: nameKey(statement),
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
    this.#records.appendExecute({
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
    const { arguments: values, argumentFormats: formats, functionOid } = call;
    const reading = { formats, types: [], secrets: [] };
    const parameters = recordParameters(values, reading, this.#masker, syntax);
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
    this.#functions?.called(statement, oid);
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
      rows: 0,
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
    conversation.ranCode();
    conversation.replies.push(running);
  }

  #describe(body: Uint8Array): void {
    const { kind: target, name } = parseDescribe(body);
    if (!this.#conversation.isSkipping) {
      this.#conversation.replies.push({ kind: "describe", target, name: nameKey(name) });
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
