// How bytes of a client become part of a record: texts as they are or in chunks, parameters, names. Secrets are masked.

import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import type {
  AuditEvent,
  ChunkedText,
  EventOf,
  Mask,
  RecordedBytes,
  RecordedParameter,
  RecordedText,
  Subject,
} from "../record.ts";
import type { MaskedBytes, Masker, MaskingStream } from "./masker.ts";
import type { SqlSyntax } from "./sql-tokenizer.ts";

const textLimits = {
  /** Bytes of a text that stands in its record; a longer one stands in chunks of this size. */
  inlineBytes: 256 * 1024,
  /** Bytes of a text that are kept at all. The rest is counted and hashed, and the record says so. */
  keptBytes: 64 * 1024 * 1024,
  /** Bytes of one parameter that are kept; of a longer one length and hash. */
  parameterBytes: 256 * 1024,
} as const;

/** Text where the bytes are valid UTF-8, else base64: the exact bytes either way. */
export function recordBytes(bytes: Uint8Array): RecordedBytes {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(view) ? view.toString("utf8") : { base64: view.toString("base64") };
}

/**
 * A bound parameter.
 * @param value null is SQL's NULL
 * @param isText whether its format code says text
 * @param isSecret whether the statement says that it may be a secret
 */
export function recordParameter(
  value: Uint8Array | null,
  isText: boolean,
  isSecret: boolean,
  masker: Masker,
  syntax: SqlSyntax,
): RecordedParameter {
  if (value === null) {
    return null;
  }
  if (isSecret) {
    return { masked: masker.mac(value) };
  }
  const { bytes } = isText ? masker.maskParameter(value, syntax) : { bytes: value };
  if (bytes.length > textLimits.parameterBytes) {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    return { length: bytes.length, sha256, truncated: true };
  }
  return isText ? recordBytes(bytes) : { base64: Buffer.from(bytes).toString("base64") };
}

export interface TextRecorderOptions {
  /** Id of the record that the text belongs to; the chunks carry it. */
  readonly statement: string;
  readonly subject: Subject;
  readonly append: (event: AuditEvent) => void;
  readonly masker: Masker;
  readonly syntax: SqlSyntax;
  readonly limits?: { readonly inlineBytes: number; readonly keptBytes: number };
}

/** Takes a statement's text in pieces. A long one goes to the journal as it comes; `finish` gives what the record says. */
export class TextRecorder {
  readonly #options: TextRecorderOptions;
  readonly #limits: { readonly inlineBytes: number; readonly keptBytes: number };
  readonly #stream: MaskingStream;
  readonly #hash = createHash("sha256");
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #masks: Mask[] = [];
  #parts = 0;
  #kept = 0;
  #length = 0;

  constructor(options: TextRecorderOptions) {
    this.#options = options;
    this.#limits = options.limits ?? textLimits;
    this.#stream = options.masker.stream(options.syntax);
  }

  /** Whether the values bound to the statement have to be masked, too; certain after `finish`. */
  get hidesParameters(): boolean {
    return this.#stream.hidesParameters;
  }

  /** The piece stays the caller's. */
  push(piece: Uint8Array): void {
    this.#take(this.#stream.push(piece));
  }

  finish(): RecordedText {
    this.#take(this.#stream.finish());
    if (this.#parts === 0 && this.#length <= this.#limits.inlineBytes) {
      return withMasks(recordBytes(Buffer.concat(this.#pending)), this.#masks);
    }
    this.#appendChunk(Buffer.concat(this.#pending));
    const text: ChunkedText = {
      parts: this.#parts,
      length: this.#length,
      sha256: this.#hash.digest("hex"),
      ...(this.#kept < this.#length ? { truncated: true } : {}),
    };
    return { text };
  }

  #take({ bytes, masks }: MaskedBytes): void {
    // SECURITY: of the masked bytes. A hash of the text with its secret would let the secret be guessed from it.
    this.#hash.update(bytes);
    this.#length += bytes.length;
    const room = this.#limits.keptBytes - this.#kept - this.#pendingBytes;
    if (room <= 0) {
      return;
    }
    const kept = Buffer.from(bytes.subarray(0, room));
    this.#pending.push(kept);
    this.#pendingBytes += kept.length;
    this.#masks.push(...masks);
    if (this.#pendingBytes > this.#limits.inlineBytes) {
      this.#appendFullChunks();
    }
  }

  #appendFullChunks(): void {
    let rest = Buffer.concat(this.#pending);
    while (rest.length > this.#limits.inlineBytes) {
      const end = characterStart(rest, this.#limits.inlineBytes);
      this.#appendChunk(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
    this.#pending = [rest];
    this.#pendingBytes = rest.length;
  }

  #appendChunk(bytes: Uint8Array): void {
    if (bytes.length === 0) {
      return;
    }
    const end = this.#kept + bytes.length;
    const masks = this.#masks.filter(({ at }) => at < end);
    this.#masks = this.#masks.slice(masks.length);
    const chunk: EventOf<"statement.chunk"> = {
      kind: "statement.chunk",
      ...this.#options.subject,
      statement: this.#options.statement,
      part: this.#parts,
      ...withMasks(recordBytes(bytes), masks),
    };
    this.#options.append(chunk);
    this.#parts += 1;
    this.#kept = end;
  }
}

/** A whole statement that is short enough for its record. */
export function recordShortText(
  text: Uint8Array,
  masker: Masker,
  syntax: SqlSyntax,
): RecordedText & { readonly text: RecordedBytes; readonly hidesParameters: boolean } {
  const { bytes, masks, hidesParameters } = masker.mask(text, syntax);
  return { ...withMasks(recordBytes(bytes), masks), hidesParameters };
}

function withMasks(text: RecordedBytes, masks: readonly Mask[]) {
  return masks.length === 0 ? { text } : { text, masked: masks };
}

/** The last offset up to `limit` at which no UTF-8 character is cut in two. */
function characterStart(bytes: Uint8Array, limit: number): number {
  for (let start = limit; start > limit - 4; start -= 1) {
    if (((bytes[start] ?? 0) & 0xc0) !== 0x80) {
      return start;
    }
  }
  return limit;
}
