// How bytes of a client become part of a record: texts as they are or in chunks, parameters, names. Secrets are masked.

import { isAscii, isUtf8 } from "node:buffer";
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
import type { MaskedBytes, Masker } from "./masker.ts";
import type { SqlSyntax } from "./sql-tokenizer.ts";

export interface TextLimits {
  /** Bytes of a text that stands in its record; a longer one stands in chunks. */
  readonly inlineBytes: number;
  /** Bytes of a chunk. */
  readonly chunkBytes: number;
  /** Bytes of a text that are kept at all. The rest is counted and hashed, and the record says so. */
  readonly keptBytes: number;
}

/** `keptBytes` is the configuration's `audit.maxTextBytes`. */
export const textLimits: TextLimits = {
  inlineBytes: 256 * 1024,
  chunkBytes: 256 * 1024,
  keptBytes: 16 * 1024 * 1024,
};

/** How a bound value is to be read. */
export interface ValueKind {
  /** OID of the type of a value in binary format, 0 if it is not known; undefined: text format. */
  readonly type: number | undefined;
  /** Whether the statement says that it may be a secret. */
  readonly isSecret: boolean;
}

/** Text where the bytes are valid UTF-8, else base64: the exact bytes either way. */
export function recordBytes(bytes: Uint8Array): RecordedBytes {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return isUtf8(view) ? view.toString("utf8") : { base64: view.toString("base64") };
}

/**
 * A bound parameter that is short enough for its record.
 * @param value null is SQL's NULL
 */
export function recordParameter(
  value: Uint8Array | null,
  { type, isSecret }: ValueKind,
  masker: Masker,
  syntax: SqlSyntax,
): RecordedParameter {
  if (value === null) {
    return null;
  }
  if (isSecret) {
    return { masked: masker.mac(value) };
  }
  return type === undefined
    ? recordBytes(masker.maskParameter(value, syntax).bytes)
    : { base64: Buffer.from(value).toString("base64"), type };
}

/** What a text passes through on its way to the record: its masking, or nothing. */
interface TextFilter {
  push(piece: Uint8Array): MaskedBytes;
  finish(): MaskedBytes;
}

/** Of values in binary format. */
export const noFilter: TextFilter = {
  push: (piece) => ({ bytes: piece, masks: [] }),
  finish: () => ({ bytes: new Uint8Array(0), masks: [] }),
};

export interface TextRecorderOptions {
  /** Id of the record that the text belongs to; the chunks carry it. */
  readonly statement: string;
  /** Number, from 1, of the parameter that it is. */
  readonly parameter?: number;
  readonly subject: Subject;
  readonly append: (event: AuditEvent) => void;
  readonly filter: TextFilter;
  readonly limits: TextLimits;
}

/** Takes a text or value in pieces. A long one goes to the journal as it comes; `finish` gives what the record says. */
export class TextRecorder {
  readonly #options: TextRecorderOptions;
  readonly #hash = createHash("sha256");
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #masks: Mask[] = [];
  #parts = 0;
  #kept = 0;
  #length = 0;

  constructor(options: TextRecorderOptions) {
    this.#options = options;
  }

  /** Bytes in chunks so far. */
  get keptBytes(): number {
    return this.#kept;
  }

  /** The piece stays the caller's. */
  push(piece: Uint8Array): void {
    this.#take(this.#options.filter.push(piece));
  }

  finish(): RecordedText {
    this.#take(this.#options.filter.finish());
    if (this.#parts === 0 && this.#length <= this.#options.limits.inlineBytes) {
      return withMasks(recordBytes(Buffer.concat(this.#pending)), this.#masks);
    }
    return { text: this.#chunked() };
  }

  /** As `finish`, of what stands in chunks whatever its length. */
  finishChunks(): ChunkedText {
    this.#take(this.#options.filter.finish());
    return this.#chunked();
  }

  #chunked(): ChunkedText {
    this.#appendChunk(Buffer.concat(this.#pending));
    return {
      parts: this.#parts,
      length: this.#length,
      sha256: this.#hash.digest("hex"),
      ...(this.#kept < this.#length ? { truncated: true } : {}),
    };
  }

  #take({ bytes, masks }: MaskedBytes): void {
    // SECURITY: of the masked bytes. A hash of the text with its secret would let the secret be guessed from it.
    this.#hash.update(bytes);
    this.#length += bytes.length;
    const { keptBytes, chunkBytes } = this.#options.limits;
    const room = keptBytes - this.#kept - this.#pendingBytes;
    if (room <= 0) {
      return;
    }
    const kept = Buffer.from(bytes.subarray(0, room));
    this.#pending.push(kept);
    this.#pendingBytes += kept.length;
    this.#masks.push(...masks);
    if (this.#pendingBytes > chunkBytes) {
      this.#appendFullChunks(chunkBytes);
    }
  }

  #appendFullChunks(chunkBytes: number): void {
    let rest = Buffer.concat(this.#pending);
    while (rest.length > chunkBytes) {
      const end = characterStart(rest, chunkBytes);
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
      parameter: this.#options.parameter,
      part: this.#parts,
      ...withMasks(recordBytes(bytes), masks),
    };
    this.#options.append(chunk);
    this.#parts += 1;
    this.#kept = end;
  }
}

/**
 * A whole statement that is short enough for its record.
 * @param sql the same as `asAscii` gives it
 */
export function recordShortText(
  text: Uint8Array,
  sql: string,
  masker: Masker,
  syntax: SqlSyntax,
): { readonly recorded: RecordedText; readonly secretParameters: readonly number[] } {
  const { bytes, masks, secretParameters } = masker.mask(text, syntax, sql);
  if (bytes === text && isAscii(text)) {
    // Nearly every one, and there it is already.
    return { recorded: { text: sql }, secretParameters };
  }
  return { recorded: withMasks(recordBytes(bytes), masks), secretParameters };
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
