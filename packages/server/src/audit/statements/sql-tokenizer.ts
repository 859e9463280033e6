// Splits PostgreSQL's SQL into tokens as its own lexer does, in as many pieces as the text comes in.
// It serves the masking alone: nothing is allowed or refused by what it finds.
// Source: PostgreSQL manual, "Lexical Structure"; multi-byte client encodings: "Character Set Support".

/** What decides how the server reads the bytes of a statement; it reports both (ParameterStatus). */
export interface SqlSyntax {
  /** client_encoding as the server spells it. */
  readonly encoding: string;
  /** standard_conforming_strings: whether a backslash in '…' is a plain character. */
  readonly standardStrings: boolean;
}

export type SqlToken = {
  /** Offsets in the whole text; `end` is one past the token's last byte. */
  readonly start: number;
  readonly end: number;
} & (
  | {
      /** A word in lower case, or the inside of a quoted identifier as it is. */
      readonly kind: "word";
      readonly word: string;
    }
  | {
      /** '…', E'…', U&'…', $tag$…$tag$. */
      readonly kind: "string";
      readonly contentStart: number;
      readonly contentEnd: number;
      readonly quoting: Quoting;
    }
  | {
      /** $1 */
      readonly kind: "parameter";
      readonly number: number;
    }
  | {
      /** Any other byte; and a string that is too long to look into (symbol 0). */
      readonly kind: "symbol";
      readonly symbol: number;
    }
);

/** How quotes are written inside of a string: doubled, doubled or with a backslash, or plainly. */
export type Quoting = "plain" | "escape" | "dollar";

/** A longer string, comment or name is passed over, not kept. */
const maxTokenBytes = 1024 * 1024;
/** The same of names, of which the server takes 63 bytes. Each piece of a long one is copied behind what there is of it. */
const maxNameBytes = 64 * 1024;

const code = (character: string) => character.charCodeAt(0);
const quote = code("'");
const doubleQuote = code('"');
const backslash = code("\\");
const dollar = code("$");
const dash = code("-");
const slash = code("/");
const star = code("*");
const ampersand = code("&");

interface Open {
  readonly kind: "string" | "identifier" | "line" | "block";
  readonly start: number;
  readonly contentStart: number;
  readonly quoting: Quoting;
  /** $tag$ */
  readonly tag: Buffer | undefined;
  /** Where to go on looking for the end. */
  at: number;
  /** Of nested comments. */
  depth: number;
  isLong: boolean;
}

/** Push a piece, then take tokens until there are none; after the last piece `finish`, and take the rest. */
export class SqlTokenizer {
  readonly #leadByte: (byte: number) => boolean;
  readonly #hasLeadBytes: boolean;
  readonly #plain: Quoting;
  #window: Buffer = Buffer.alloc(0);
  /** Offset in the text of the window's first byte. */
  #base = 0;
  #position = 0;
  #final = false;
  #open: Open | undefined;
  /** A name that reaches the window's end, and how far it was read: a long one must not be read anew with every piece. */
  #name = { start: -1, at: -1 };

  constructor({ encoding, standardStrings }: SqlSyntax) {
    const leadByte = leadBytes(encoding);
    this.#hasLeadBytes = leadByte !== undefined;
    this.#leadByte = leadByte ?? (() => false);
    this.#plain = standardStrings ? "plain" : "escape";
  }

  /** Everything before this offset was reported. */
  get position(): number {
    return this.#open?.isLong === true ? this.#open.at : (this.#open?.start ?? this.#position);
  }

  push(piece: Uint8Array): void {
    const kept = this.#window.subarray(this.position - this.#base);
    this.#base = this.position;
    this.#window = Buffer.concat([kept, piece]);
  }

  finish(): void {
    this.#final = true;
  }

  /** Bytes that were pushed and not yet reported, or belong to the token reported last. */
  slice(start: number, end: number): Buffer {
    return this.#window.subarray(start - this.#base, end - this.#base);
  }

  next(): SqlToken | undefined {
    for (;;) {
      if (this.#open === undefined) {
        const token = this.#begin();
        if (token !== "opened") {
          return token;
        }
      }
      const open = this.#open;
      if (open === undefined) {
        continue;
      }
      const end = this.#findEnd(open);
      if (end === undefined) {
        open.isLong ||= open.at - open.start > maxTokenBytes;
        return undefined;
      }
      this.#open = undefined;
      this.#position = end;
      const token = this.#closed(open, end);
      if (token !== undefined) {
        return token;
      }
    }
  }

  /** A token that ends within the window, or "opened" for one that may be long, or undefined: more bytes are needed. */
  #begin(): SqlToken | "opened" | undefined {
    while (isSpace(this.#byte(this.#position))) {
      this.#position += 1;
    }
    const start = this.#position;
    const first = this.#byte(start);
    const second = this.#byte(start + 1);
    if (first === undefined || (second === undefined && !this.#final)) {
      return undefined;
    }
    if (first === quote) {
      return this.#start("string", start, start + 1, this.#plain);
    }
    if (first === doubleQuote) {
      return this.#start("identifier", start, start + 1);
    }
    if (first === dash && second === dash) {
      return this.#start("line", start, start + 2);
    }
    if (first === slash && second === star) {
      return this.#start("block", start, start + 2);
    }
    if (first === dollar) {
      return this.#beginDollar(start);
    }
    if (isWordByte(first)) {
      return this.#beginWord(start);
    }
    return this.#symbol(start, first);
  }

  #start(
    kind: Open["kind"],
    start: number,
    contentStart: number,
    quoting: Quoting = "plain",
    tag?: Buffer,
  ): "opened" {
    const at = contentStart;
    this.#open = { kind, start, contentStart, quoting, tag, at, depth: 1, isLong: false };
    return "opened";
  }

  #beginDollar(start: number): SqlToken | "opened" | undefined {
    const end = this.#wordEnd(start + 1, false);
    const closing = end === undefined ? undefined : this.#byte(end);
    if (end === undefined || (closing === undefined && !this.#final)) {
      return undefined;
    }
    const startsWithDigit = isDigit(this.#byte(start + 1));
    if (closing === dollar && !startsWithDigit) {
      const tag = Buffer.from(this.slice(start, end + 1));
      return this.#start("string", start, end + 1, "dollar", tag);
    }
    if (!startsWithDigit) {
      return this.#symbol(start, dollar);
    }
    this.#position = end;
    const number = Number.parseInt(this.slice(start + 1, end).toString("latin1"), 10);
    return { kind: "parameter", start, end, number };
  }

  #beginWord(start: number): SqlToken | "opened" | undefined {
    const end = this.#wordEnd(start, true);
    const next = end === undefined ? undefined : this.#byte(end);
    if (end === undefined || (next === undefined && !this.#final)) {
      return undefined;
    }
    // Without a view in between: texts may have words by the million.
    const window = this.#window;
    const word = window.toString("latin1", start - this.#base, end - this.#base).toLowerCase();
    if (next === quote && isStringPrefix(word)) {
      return this.#start("string", start, end + 1, word === "e" ? "escape" : this.#plain);
    }
    if (word === "u" && next === ampersand) {
      const third = this.#byte(end + 1);
      if (third === undefined && !this.#final) {
        return undefined;
      }
      if (third === quote) {
        return this.#start("string", start, end + 2);
      }
    }
    this.#position = end;
    return { kind: "word", start, end, word };
  }

  #symbol(start: number, symbol: number): SqlToken {
    this.#position = start + 1;
    return { kind: "symbol", start, end: start + 1, symbol };
  }

  /** End of the name at `from`; undefined if it may go on behind the window. */
  #wordEnd(from: number, withDollar: boolean): number | undefined {
    let at = this.#name.start === from ? this.#name.at : from;
    for (let byte = this.#byte(at); byte !== undefined; byte = this.#byte(at)) {
      if (!isWordByte(byte) && !(withDollar && byte === dollar)) {
        return at;
      }
      at += this.#leadByte(byte) ? 2 : 1;
    }
    this.#name = { start: from, at };
    const windowEnd = this.#base + this.#window.length;
    return this.#final || windowEnd - from > maxNameBytes ? windowEnd : undefined;
  }

  #findEnd(open: Open): number | undefined {
    const end =
      open.kind === "block"
        ? this.#findBlockEnd(open)
        : open.kind === "line"
          ? this.#findLineEnd(open)
          : open.tag === undefined
            ? this.#findQuote(open, open.kind === "identifier" ? doubleQuote : quote)
            : this.#findTag(open, open.tag);
    // What is not closed reaches to the end of the text; the server refuses it.
    return end ?? (this.#final ? this.#base + this.#window.length : undefined);
  }

  #findQuote(open: Open, closing: number): number | undefined {
    if (open.quoting === "plain" && !this.#hasLeadBytes) {
      this.#skipTo(open, closing);
    }
    for (let byte = this.#byte(open.at); byte !== undefined; byte = this.#byte(open.at)) {
      const following = this.#byte(open.at + 1);
      if (following === undefined && !this.#final) {
        return undefined;
      }
      if (byte === closing && following !== closing) {
        return open.at + 1;
      }
      open.at += this.#lengthInString(byte, following ?? 0, closing, open.quoting);
    }
    return undefined;
  }

  /** Only the closing quote means anything: what stands before it may be megabytes. */
  #skipTo(open: Open, closing: number): void {
    const found = this.#window.indexOf(closing, open.at - this.#base);
    open.at = this.#base + (found === -1 ? this.#window.length : found);
  }

  /** Bytes of the character, doubled quote or escape at this place. */
  #lengthInString(byte: number, following: number, closing: number, quoting: Quoting): number {
    if (byte === backslash && quoting === "escape") {
      // SECURITY: the character behind the backslash may have two bytes, the second one looking like a backslash.
      return this.#leadByte(following) ? 3 : 2;
    }
    return byte === closing || this.#leadByte(byte) ? 2 : 1;
  }

  #findTag(open: Open, tag: Buffer): number | undefined {
    const found = this.#window.indexOf(tag, open.at - this.#base);
    if (found === -1) {
      const windowEnd = this.#base + this.#window.length;
      open.at = Math.max(open.at, windowEnd - tag.length + 1);
      return undefined;
    }
    return this.#base + found + tag.length;
  }

  #findLineEnd(open: Open): number | undefined {
    for (let byte = this.#byte(open.at); byte !== undefined; byte = this.#byte(open.at)) {
      if (byte === 0x0a || byte === 0x0d) {
        return open.at;
      }
      open.at += 1;
    }
    return undefined;
  }

  #findBlockEnd(open: Open): number | undefined {
    while (open.depth > 0) {
      const byte = this.#byte(open.at);
      const following = this.#byte(open.at + 1);
      if (byte === undefined || following === undefined) {
        return undefined;
      }
      const opens = byte === slash && following === star;
      const closes = byte === star && following === slash;
      open.depth += opens ? 1 : closes ? -1 : 0;
      open.at += opens || closes ? 2 : 1;
    }
    return open.at;
  }

  #closed(open: Open, end: number): SqlToken | undefined {
    const { kind, start, contentStart, quoting, tag, isLong } = open;
    if (kind === "line" || kind === "block") {
      return undefined;
    }
    if (isLong) {
      return { kind: "symbol", start, end, symbol: 0 };
    }
    const contentEnd = Math.max(contentStart, end - (tag?.length ?? 1));
    return kind === "string"
      ? { kind, start, end, contentStart, contentEnd, quoting }
      : { kind: "word", start, end, word: this.slice(contentStart, contentEnd).toString("latin1") };
  }

  #byte(offset: number): number | undefined {
    return this.#window[offset - this.#base];
  }
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** Whether a quote right behind this word opens a string of its kind: E'', N'', B'' and X''. */
function isStringPrefix(word: string): boolean {
  return word === "e" || word === "n" || word === "b" || word === "x";
}

function isWordByte(byte: number): boolean {
  return (
    byte >= 0x80 ||
    byte === 0x5f ||
    (byte >= 0x61 && byte <= 0x7a) ||
    (byte >= 0x41 && byte <= 0x5a) ||
    (byte >= 0x30 && byte <= 0x39)
  );
}

/** Which bytes begin a character of two whose second byte may look like ASCII; undefined where there are none. */
function leadBytes(encoding: string): ((byte: number) => boolean) | undefined {
  switch (encoding.toUpperCase()) {
    case "SJIS":
    case "SHIFT_JIS_2004":
      return (byte) => (byte >= 0x81 && byte <= 0x9f) || (byte >= 0xe0 && byte <= 0xfc);
    case "BIG5":
    case "GBK":
    case "GB18030":
    case "UHC":
    case "JOHAB":
      return (byte) => byte >= 0x80;
    default:
      return undefined;
  }
}
