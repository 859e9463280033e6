// Replaces secrets in statements by a mark, and keeps a keyed MAC of each, so that equal ones can be told.

import { createHmac } from "node:crypto";
import type { Mask } from "../record.ts";
import { connectionSecrets, mayHoldSecret, SecretFinder, type Span } from "./secrets.ts";
import type { SqlSyntax } from "./sql-tokenizer.ts";

const mark = Buffer.from("[masked]");

export interface MaskedBytes {
  /** A view of what was given where nothing was masked, else memory of its own. */
  readonly bytes: Uint8Array;
  /** Offsets count from the start of the text, marks included. */
  readonly masks: readonly Mask[];
}

export class Masker {
  readonly #key: Uint8Array;

  /** @param key of the MACs; without it a MAC tells nothing about its secret */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /** First 16 bytes (hex) of the HMAC-SHA-256 of a secret. */
  mac(secret: Uint8Array): string {
    return createHmac("sha256", this.#key).update(secret).digest("hex").slice(0, 32);
  }

  /** A whole statement. `hidesParameters`: the values bound to it have to be masked, too. */
  mask(text: Uint8Array, syntax: SqlSyntax): MaskedBytes & { readonly hidesParameters: boolean } {
    if (!mayHoldSecret(latin1(text))) {
      return { bytes: text, masks: [], hidesParameters: false };
    }
    const stream = this.stream(syntax);
    const first = stream.push(text);
    const last = stream.finish();
    return {
      bytes: Buffer.concat([first.bytes, last.bytes]),
      masks: [...first.masks, ...last.masks],
      hidesParameters: stream.hidesParameters,
    };
  }

  /** A bound parameter, which may be a statement or a connection string itself. */
  maskParameter(value: Uint8Array, syntax: SqlSyntax): MaskedBytes {
    const text = latin1(value);
    if (!mayHoldSecret(text) && !/^\s*postgres(ql)?:/i.test(text)) {
      return { bytes: value, masks: [] };
    }
    const spans = connectionSecrets(text).filter(({ start, end }) => end > start);
    return spans.length === 0
      ? this.mask(value, syntax)
      : new MaskWriter(this).replace(Buffer.from(value), 0, spans);
  }

  /** A statement that comes in pieces. */
  stream(syntax: SqlSyntax): MaskingStream {
    return new MaskingStream(this, syntax);
  }
}

/** Gives out each byte once it is certain that it belongs to no secret; holds back a megabyte at the most. */
export class MaskingStream {
  readonly #finder: SecretFinder;
  readonly #writer: MaskWriter;
  #held: Buffer = Buffer.alloc(0);
  /** Offset in the text of the first byte that is held. */
  #position = 0;

  constructor(masker: Masker, syntax: SqlSyntax) {
    this.#finder = new SecretFinder(syntax);
    this.#writer = new MaskWriter(masker);
  }

  get hidesParameters(): boolean {
    return this.#finder.hidesParameters;
  }

  push(piece: Uint8Array): MaskedBytes {
    this.#held = Buffer.concat([this.#held, piece]);
    const spans = this.#finder.push(piece);
    return this.#release(spans, this.#finder.position);
  }

  finish(): MaskedBytes {
    const spans = this.#finder.finish();
    return this.#release(spans, this.#position + this.#held.length);
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

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
