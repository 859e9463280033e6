// Replaces secrets in statements by a mark, and keeps a keyed MAC of each, so that equal ones can be told.

import { createHmac } from "node:crypto";
import type { Mask } from "../record.ts";
import type { ParsedSecrets } from "./parsed-secrets.ts";
import { connectionSecrets, mayHoldSecret, SecretFinder, type Span } from "./secrets.ts";
import type { SqlSyntax } from "./sql-tokenizer.ts";

const mark = Buffer.from("[masked]");
/** No connection string or statement with a secret is shorter. */
const minSecretiveBytes = 10;

export interface MaskedBytes {
  /** A view of what was given where nothing was masked, else memory of its own. */
  readonly bytes: Uint8Array;
  /** Offsets count from the start of the text, marks included. */
  readonly masks: readonly Mask[];
}

export interface MaskedStatement extends MaskedBytes {
  /** Parameters, from 1, whose values have to be masked, too. */
  readonly secretParameters: readonly number[];
}

export class Masker {
  readonly #key: Uint8Array;
  readonly #parser: ParsedSecrets | undefined;

  /**
   * @param key of the MACs; without it a MAC tells nothing about its secret
   * @param parser finds in statements that it can parse what the tokenizer may miss
   */
  constructor(key: Uint8Array, parser?: ParsedSecrets) {
    this.#key = key;
    this.#parser = parser;
  }

  /** First 16 bytes (hex) of the HMAC-SHA-256 of a secret. */
  mac(secret: Uint8Array): string {
    const mac = this.macStream();
    mac.push(secret);
    return mac.finish();
  }

  /** The same of a secret that comes in pieces. */
  macStream(): { push(piece: Uint8Array): void; finish(): string } {
    const hmac = createHmac("sha256", this.#key);
    return {
      push: (piece) => hmac.update(piece),
      finish: () => hmac.digest("hex").slice(0, 32),
    };
  }

  /**
   * A whole statement.
   * @param sql the same as `asAscii` gives it
   */
  mask(text: Uint8Array, syntax: SqlSyntax, sql: string = asAscii(text)): MaskedStatement {
    if (text.length < minSecretiveBytes || !mayHoldSecret(sql)) {
      return { bytes: text, masks: [], secretParameters: [] };
    }
    const finder = new SecretFinder(syntax);
    const spans = [...finder.push(text), ...finder.finish()];
    const parsed = this.#parser?.find(text, syntax);
    // Both: where they differ, one of them knows a place that the other does not.
    const found = parsed === undefined ? spans : union([...spans, ...parsed.spans]);
    const parameters = [...finder.secretParameters, ...(parsed?.parameters ?? [])];
    return {
      ...new MaskWriter(this).replace(Buffer.from(text), 0, found),
      secretParameters: [...new Set(parameters)],
    };
  }

  /** A bound parameter, which may be a statement or a connection string itself. */
  maskParameter(value: Uint8Array, syntax: SqlSyntax): MaskedBytes {
    if (value.length < minSecretiveBytes) {
      return { bytes: value, masks: [] };
    }
    const text = asAscii(value);
    if (!mayHoldSecret(text) && !/^\s*postgres(ql)?:/i.test(text)) {
      return { bytes: value, masks: [] };
    }
    const spans = connectionSecrets(text).filter(({ start, end }) => end > start);
    return spans.length === 0
      ? this.mask(value, syntax, text)
      : new MaskWriter(this).replace(Buffer.from(value), 0, spans);
  }

  /**
   * A statement that comes in pieces.
   * @param pieceBytes bytes that are looked at together. SECURITY: a token that is not whole is read again with every
   * piece, so that a long one in tiny pieces would keep the event loop busy.
   */
  stream(syntax: SqlSyntax, pieceBytes: number = 64 * 1024): MaskingStream {
    return new MaskingStream(this, syntax, pieceBytes);
  }
}

/** Gives out each byte once it is certain that it belongs to no secret; holds back a megabyte at the most. */
export class MaskingStream {
  readonly #finder: SecretFinder;
  readonly #writer: MaskWriter;
  readonly #pieceBytes: number;
  #pieces: Uint8Array[] = [];
  #waitingBytes = 0;
  #held: Buffer = Buffer.alloc(0);
  /** Offset in the text of the first byte that is held. */
  #position = 0;

  constructor(masker: Masker, syntax: SqlSyntax, pieceBytes: number) {
    this.#finder = new SecretFinder(syntax);
    this.#writer = new MaskWriter(masker);
    this.#pieceBytes = pieceBytes;
  }

  /** Certain after `finish`. */
  get secretParameters(): readonly number[] {
    return this.#finder.secretParameters;
  }

  /** The piece stays the caller's; what comes back may be a view into it. */
  push(piece: Uint8Array): MaskedBytes {
    if (this.#waitingBytes === 0 && piece.length * 2 >= this.#pieceBytes) {
      return this.#pushLarge(piece);
    }
    this.#pieces.push(Buffer.from(piece));
    this.#waitingBytes += piece.length;
    return this.#waitingBytes < this.#pieceBytes
      ? { bytes: new Uint8Array(0), masks: [] }
      : this.#release(this.#takeWaiting(), this.#finder.position);
  }

  finish(): MaskedBytes {
    const waiting = this.#takeWaiting();
    const spans = [...waiting, ...this.#finder.finish()];
    return this.#release(spans, this.#position + this.#held.length);
  }

  /** Looks at a piece where it stands, and copies only what is held back of it: copies of gigabytes keep the garbage collector busy. */
  #pushLarge(piece: Uint8Array): MaskedBytes {
    const { buffer, byteOffset, byteLength } = piece;
    const bytes = Buffer.from(buffer, byteOffset, byteLength);
    this.#held = this.#held.length === 0 ? bytes : Buffer.concat([this.#held, bytes]);
    const masked = this.#release(this.#finder.push(bytes), this.#finder.position);
    this.#held = Buffer.from(this.#held);
    return masked;
  }

  #takeWaiting(): Span[] {
    const piece = Buffer.concat(this.#pieces);
    this.#pieces = [];
    this.#waitingBytes = 0;
    this.#held = Buffer.concat([this.#held, piece]);
    return this.#finder.push(piece);
  }

  #release(spans: readonly Span[], until: number): MaskedBytes {
    const released = this.#held.subarray(0, until - this.#position);
    const masked = this.#writer.replace(released, this.#position, spans);
    this.#held = this.#held.subarray(released.length);
    this.#position = until;
    return masked;
  }
}

/** Counts where in the recorded text the marks come to stand. */
class MaskWriter {
  readonly #masker: Masker;
  #written = 0;

  constructor(masker: Masker) {
    this.#masker = masker;
  }

  /** @param base offset in the text of the first of `bytes`, which the spans count from the text's start */
  replace(bytes: Buffer, base: number, spans: readonly Span[]): MaskedBytes {
    const pieces: Buffer[] = [];
    const masks: Mask[] = [];
    let at = 0;
    for (const { start, end } of spans) {
      const plain = bytes.subarray(at, start - base);
      const secret = bytes.subarray(start - base, end - base);
      masks.push({ at: this.#written + plain.length, mac: this.#masker.mac(secret) });
      pieces.push(plain, mark);
      this.#written += plain.length + mark.length;
      at = end - base;
    }
    const rest = bytes.subarray(at);
    this.#written += rest.length;
    return { bytes: pieces.length === 0 ? rest : Buffer.concat([...pieces, rest]), masks };
  }
}

/** In order and without overlaps. */
function union(spans: readonly Span[]): Span[] {
  const joined: Span[] = [];
  for (const span of spans.toSorted((one, other) => one.start - other.start)) {
    const last = joined.at(-1);
    if (last !== undefined && span.start < last.end) {
      joined[joined.length - 1] = { start: last.start, end: Math.max(last.end, span.end) };
    } else {
      joined.push(span);
    }
  }
  return joined;
}

/** SQL's words are ASCII in every client encoding; what the other bytes mean does not matter to whoever looks for words. One character a byte. */
export function asAscii(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
