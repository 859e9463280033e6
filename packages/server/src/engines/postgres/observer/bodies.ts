// Turns segments of messages into what the observer reads of them: whole small bodies, texts of large ones as they come,
// and of the server's the beginning. Nothing large is kept.

import { JitdbError } from "@jitdb/shared/errors";
import { BodyCollector, type Segment } from "@jitdb/shared/postgres/decoder";
import { frontendMessages, postgresLimits } from "@jitdb/shared/postgres/messages";
import type { RecordedText } from "../../../audit/record.ts";
import type { MaskingStream } from "../../../audit/statements/masker.ts";
import { TextRecorder, type TextRecorderOptions } from "../../../audit/statements/text.ts";

export const bodyLimits = {
  /** Bytes of a message that is kept whole until it can be read. */
  wholeBytes: 256 * 1024,
  /** Bytes of the beginning of a larger one: long enough for its names. */
  startBytes: 16 * 1024,
} as const;

const nothing = Buffer.alloc(0);

export function isLarge(segment: Segment): boolean {
  return bodyBytes(segment) > bodyLimits.wholeBytes;
}

/** Bytes of the whole message's body. */
export function bodyBytes(segment: Segment): number {
  return segment.length - postgresLimits.minMessageLength;
}

/** The body's bytes in this segment; a view into the chunk. */
export function bodyPart(chunk: Uint8Array, segment: Segment): Uint8Array {
  return chunk.subarray(segment.bodyStart, segment.end);
}

/** Collects the bodies of small messages. */
export function createCollector(): BodyCollector {
  return new BodyCollector(bodyLimits.wholeBytes + postgresLimits.minMessageLength);
}

/** A Query or Parse that is too large to keep: its text goes to a recorder as it comes. */
export class LongText {
  readonly #message: "Query" | "Parse";
  readonly #filter: MaskingStream;
  readonly #recorder: TextRecorder;
  #field: "name" | "text" | "types";
  #name: Buffer = nothing;
  /** Bytes behind the text. */
  #rest = 0;

  constructor(type: number, options: TextRecorderOptions & { readonly filter: MaskingStream }) {
    this.#message = type === frontendMessages.Query ? "Query" : "Parse";
    this.#field = this.#message === "Query" ? "text" : "name";
    this.#filter = options.filter;
    this.#recorder = new TextRecorder(options);
  }

  /** Parameters, from 1, whose values have to be masked; certain after `finish`. */
  get secretParameters(): readonly number[] {
    return this.#filter.secretParameters;
  }

  /** @throws JitdbError `postgres.protocol` for a name that has no end */
  add(part: Uint8Array): void {
    let rest = part;
    if (this.#field === "name") {
      rest = this.#takeName(rest);
    }
    if (this.#field === "text") {
      rest = this.#takeText(rest);
    }
    this.#rest += rest.length;
  }

  /** @throws JitdbError `postgres.protocol` unless the text ended where the message says */
  finish(): { readonly name: Uint8Array; readonly text: RecordedText } {
    const isWhole = this.#field === "types" && (this.#message === "Parse" || this.#rest === 0);
    if (!isWhole) {
      throw this.#malformed("its text does not end where it should");
    }
    return { name: this.#name, text: this.#recorder.finish() };
  }

  /** What is there of a message that will never be whole. */
  abandon(): RecordedText {
    return this.#recorder.finish();
  }

  #takeName(part: Uint8Array): Uint8Array {
    const end = part.indexOf(0);
    this.#name = Buffer.concat([this.#name, end === -1 ? part : part.subarray(0, end)]);
    if (this.#name.length > bodyLimits.startBytes) {
      throw this.#malformed("its name has no end");
    }
    if (end === -1) {
      return part.subarray(part.length);
    }
    this.#field = "text";
    return part.subarray(end + 1);
  }

  #takeText(part: Uint8Array): Uint8Array {
    const end = part.indexOf(0);
    this.#recorder.push(end === -1 ? part : part.subarray(0, end));
    if (end === -1) {
      return part.subarray(part.length);
    }
    this.#field = "types";
    return part.subarray(end + 1);
  }

  #malformed(why: string): JitdbError {
    return new JitdbError("postgres.protocol", `Malformed ${this.#message} message: ${why}.`);
  }
}

/** Collects the beginning of the bodies of one direction, one message at a time. */
export class BodyStart {
  readonly #maxBytes: number;
  #kept: Buffer = nothing;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @returns at the message's end its body, cut at the limit; may be a view into the chunk */
  add(chunk: Uint8Array, segment: Segment): Uint8Array | undefined {
    const part = bodyPart(chunk, segment);
    if (segment.first && segment.last) {
      return part.length <= this.#maxBytes ? part : part.subarray(0, this.#maxBytes);
    }
    const before = segment.first ? nothing : this.#kept;
    const kept = Buffer.concat([before, part.subarray(0, this.#maxBytes - before.length)]);
    this.#kept = segment.last ? nothing : kept;
    return segment.last ? kept : undefined;
  }
}
