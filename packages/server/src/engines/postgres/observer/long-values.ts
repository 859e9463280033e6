// A Bind or FunctionCall that is too large to keep: its values are recorded as they come, the long ones in chunks.
// Source: PostgreSQL manual, "Message Formats", Bind and FunctionCall.

import { JitdbError } from "@jitdb/shared/errors";
import { frontendMessages } from "@jitdb/shared/postgres/messages";
import type { RecordedParameter, RecordedParameters } from "../../../audit/record.ts";
import type { Masker } from "../../../audit/statements/masker.ts";
import type { SqlSyntax } from "../../../audit/statements/sql-tokenizer.ts";
import {
  noFilter,
  recordParameter,
  TextRecorder,
  type TextRecorderOptions,
  type ValueKind,
} from "../../../audit/statements/text.ts";
import { bodyLimits } from "./bodies.ts";
import { type ValueReading, valueKind } from "./statements.ts";

const valueLimits = {
  /** Bytes of a message's values that stand in its record; then only the shortest do. */
  inlineBytes: 256 * 1024,
  /** A value that is no longer stands in the record in any case: a reference would take as much. */
  shortBytes: 128,
} as const;

export interface LongValuesOptions extends Omit<TextRecorderOptions, "filter" | "parameter"> {
  readonly masker: Masker;
  readonly syntax: SqlSyntax;
  /** What is known of the values that are bound to the prepared statement of that name. */
  readonly known: (statement: Uint8Array) => Pick<ValueReading, "types" | "secrets">;
}

/** What the message says; the names are empty for a FunctionCall, the OID is 0 for a Bind. */
interface LongFields {
  readonly portal: Uint8Array;
  readonly statement: Uint8Array;
  readonly functionOid: number;
  readonly parameters: RecordedParameters;
}

/** What the reading goes on with: so many bytes, a name up to its NUL, or bytes that are passed on as they come. */
type Want =
  | { readonly kind: "bytes"; readonly count: number }
  | { readonly kind: "name" }
  | { readonly kind: "pass"; readonly count: number; readonly to: (piece: Uint8Array) => void };

type Reading<Result> = Generator<Want, Result, Buffer>;

/** `add` the body piece by piece, then `finish`. */
export class LongValues {
  readonly #message: "Bind" | "FunctionCall";
  readonly #options: LongValuesOptions;
  readonly #steps: Reading<LongFields>;
  #want: Want | undefined;
  #fields: LongFields | undefined;
  /** Of what is wanted. */
  #pieces: Uint8Array[] = [];
  #have = 0;
  /** Bytes that may still be kept, in the record and in chunks. */
  #inlineLeft: number = valueLimits.inlineBytes;
  #keptLeft: number;

  constructor(type: number, options: LongValuesOptions) {
    this.#message = type === frontendMessages.Bind ? "Bind" : "FunctionCall";
    this.#options = options;
    this.#keptLeft = options.limits.keptBytes;
    this.#steps = this.#message === "Bind" ? this.#readBind() : this.#readFunctionCall();
    this.#goOn(this.#steps.next());
  }

  /** @throws JitdbError `postgres.protocol` for what is no such message */
  add(part: Uint8Array): void {
    let rest = part;
    while (rest.length > 0) {
      const want = this.#want;
      if (want === undefined) {
        throw this.#malformed("bytes follow its last field");
      }
      const count = want.kind === "name" ? rest.indexOf(0) : want.count - this.#have;
      const isComplete = want.kind === "name" ? count !== -1 : count <= rest.length;
      const piece = isComplete ? rest.subarray(0, count) : rest;
      this.#take(want, piece);
      if (!isComplete) {
        return;
      }
      rest = rest.subarray(want.kind === "name" ? count + 1 : count);
      this.#deliver();
    }
  }

  /** @throws JitdbError `postgres.protocol` if its fields are not all there */
  finish(): LongFields {
    if (this.#fields === undefined) {
      throw this.#malformed("it ends too early");
    }
    return this.#fields;
  }

  #take(want: Want, piece: Uint8Array): void {
    this.#have += piece.length;
    if (want.kind === "pass") {
      want.to(piece);
      return;
    }
    if (want.kind === "name" && this.#have > bodyLimits.startBytes) {
      throw this.#malformed("a name has no end");
    }
    this.#pieces.push(Buffer.from(piece));
  }

  #deliver(): void {
    const bytes = Buffer.concat(this.#pieces);
    this.#goOn(this.#steps.next(bytes));
  }

  #goOn(step: IteratorResult<Want, LongFields>): void {
    this.#pieces = [];
    this.#have = 0;
    this.#want = step.done === true ? undefined : step.value;
    if (step.done === true) {
      this.#fields = step.value;
    } else if (step.value.kind === "bytes" && step.value.count === 0) {
      this.#deliver();
    }
  }

  *#readBind(): Reading<LongFields> {
    const portal = yield { kind: "name" };
    const statement = yield { kind: "name" };
    const formats = yield* readInt16s();
    const reading = { ...this.#options.known(statement), formats };
    const parameters = yield* this.#readValues(reading);
    yield* readInt16s();
    return { portal, statement, functionOid: 0, parameters };
  }

  *#readFunctionCall(): Reading<LongFields> {
    const functionOid = (yield { kind: "bytes", count: 4 }).readUInt32BE();
    const formats = yield* readInt16s();
    const parameters = yield* this.#readValues({ formats, types: [], secrets: [] });
    yield { kind: "bytes", count: 2 };
    const none = new Uint8Array(0);
    return { portal: none, statement: none, functionOid, parameters };
  }

  *#readValues(reading: ValueReading): Reading<RecordedParameters> {
    const count = (yield { kind: "bytes", count: 2 }).readUInt16BE();
    const values: RecordedParameter[] = [];
    for (let index = 0; index < count; index += 1) {
      const length = (yield { kind: "bytes", count: 4 }).readInt32BE();
      if (length < -1) {
        throw this.#malformed(`a value announces ${length} bytes`);
      }
      values.push(
        length === -1 ? null : yield* this.#readValue(length, index + 1, valueKind(reading, index)),
      );
    }
    return values;
  }

  *#readValue(length: number, parameter: number, kind: ValueKind): Reading<RecordedParameter> {
    const { masker, syntax } = this.#options;
    if (length <= Math.max(this.#inlineLeft, valueLimits.shortBytes)) {
      this.#inlineLeft -= length;
      return recordParameter(yield { kind: "bytes", count: length }, kind, masker, syntax);
    }
    if (kind.isSecret) {
      const mac = masker.macStream();
      yield { kind: "pass", count: length, to: (piece) => mac.push(piece) };
      return { masked: mac.finish() };
    }
    const { statement, subject, append, limits } = this.#options;
    const recorder = new TextRecorder({
      statement,
      parameter,
      subject,
      append,
      filter: kind.type === undefined ? masker.stream(syntax) : noFilter,
      limits: { ...limits, inlineBytes: 0, keptBytes: this.#keptLeft },
    });
    yield { kind: "pass", count: length, to: (piece) => recorder.push(piece) };
    const value = recorder.finishChunks();
    this.#keptLeft -= recorder.keptBytes;
    return kind.type === undefined ? value : { ...value, type: kind.type };
  }

  #malformed(why: string): JitdbError {
    return new JitdbError("postgres.protocol", `Malformed ${this.#message} message: ${why}.`);
  }
}

function* readInt16s(): Reading<number[]> {
  const count = (yield { kind: "bytes", count: 2 }).readUInt16BE();
  const bytes = yield { kind: "bytes", count: 2 * count };
  return Array.from({ length: count }, (_, index) => bytes.readInt16BE(2 * index));
}
