// Finds secrets in statements, by the few places where SQL has them: passwords of roles, options of user mappings and
// servers, connection strings of dblink, subscriptions and replication, keys of pgcrypto. Conservative: what is no secret
// by this grammar stays readable, so that masking hides nothing that acts.

import { type Quoting, type SqlSyntax, type SqlToken, SqlTokenizer } from "./sql-tokenizer.ts";

/** Offsets of a secret's exact bytes in the text; not empty. */
export interface Span {
  readonly start: number;
  readonly end: number;
}

/** Strings in strings in strings: deeper ones are not looked into. */
const maxDepth = 4;

const hints = /password|dblink|conninfo|subscription|pgp_|crypt\s*\(|u&"|\boptions\b/i;

/** Cheap test that almost every statement fails: only a text with one of these words can hold a secret. */
export function mayHoldSecret(text: string): boolean {
  return hints.test(text);
}

/** What `CREATE` or `ALTER` stands before where passwords and connection strings follow. */
const nouns = new Set(["role", "user", "group", "server", "foreign", "subscription", "system"]);
const verbs = new Set(["create", "alter"]);
const passwordWords = new Set(["password", "sslpassword"]);

/** Names of options of servers and user mappings whose values are secrets. */
export const secretOption = /pass(word|wd|phrase)|secret|token|private_?key/i;

const symbols = { semicolon: 0x3b, open: 0x28, close: 0x29, comma: 0x2c } as const;

/** Which arguments, from 0, of pgcrypto's functions are keys or passwords; undefined for other functions. */
export function keyArguments(name: string): readonly number[] | undefined {
  if (/^pgp_pub_decrypt(_bytea)?$/.test(name)) {
    return [1, 2];
  }
  if (/^pgp_sym_(en|de)crypt(_bytea)?$/.test(name)) {
    return [1];
  }
  return name === "crypt" ? [0] : undefined;
}

/** Takes a text in pieces; spans come in order, each as soon as its end is known. */
export class SecretFinder {
  readonly #syntax: SqlSyntax;
  readonly #tokens: SqlTokenizer;
  readonly #depth: number;

  #previous = "";
  /** Within CREATE or ALTER of one of the nouns. */
  #isSecretive = false;
  /** The string that comes next is a secret. */
  #expectsSecret = false;
  /** Open brackets since dblink…( or a function of pgcrypto; 0 outside. */
  #callDepth = 0;
  /** Arguments of that call that are keys, and which one it is at. */
  #keys: readonly number[] = [];
  #argument = 0;
  /** That function is dblink_connect or dblink_connect_u. */
  #isConnect = false;
  /** A connection string broke off in its password, which the next string goes on with. */
  #isBrokenOff = false;
  readonly #secretParameters: number[] = [];

  constructor(syntax: SqlSyntax, depth = 0) {
    this.#syntax = syntax;
    this.#tokens = new SqlTokenizer(syntax);
    this.#depth = depth;
  }

  /** No secret that is still to be found begins before this offset. */
  get position(): number {
    return this.#tokens.position;
  }

  /** Numbers of bound parameters that may be secrets: they go to dblink_connect, are keys, or follow PASSWORD. */
  get secretParameters(): readonly number[] {
    return this.#secretParameters;
  }

  push(piece: Uint8Array): Span[] {
    this.#tokens.push(piece);
    return this.#take();
  }

  finish(): Span[] {
    this.#tokens.finish();
    return this.#take();
  }

  #take(): Span[] {
    const spans: Span[] = [];
    for (let token = this.#tokens.next(); token !== undefined; token = this.#tokens.next()) {
      if (token.kind === "string") {
        spans.push(...this.#inString(token));
      } else {
        this.#follow(token);
      }
    }
    return spans.filter(({ start, end }) => end > start);
  }

  #follow(token: Exclude<SqlToken, { kind: "string" }>): void {
    this.#expectsSecret = false;
    if (token.kind === "word") {
      this.#followWord(token.word);
    } else if (token.kind === "parameter") {
      if (this.#isConnect || this.#isKey || passwordWords.has(this.#previous)) {
        this.#secretParameters.push(token.number);
      }
    } else {
      this.#followSymbol(token.symbol);
    }
  }

  #followWord(word: string): void {
    this.#isSecretive ||= verbs.has(this.#previous) && nouns.has(word);
    this.#expectsSecret = this.#isSecretive && secretOption.test(word);
    this.#previous = word;
  }

  #followSymbol(symbol: number): void {
    if (symbol === symbols.semicolon) {
      this.#isSecretive = false;
      this.#endCall(0);
    } else if (symbol === symbols.open) {
      this.#openBracket();
    } else if (symbol === symbols.close) {
      this.#endCall(Math.max(0, this.#callDepth - 1));
    } else if (symbol === symbols.comma && this.#callDepth === 1) {
      this.#argument += 1;
    }
    this.#previous = "";
  }

  #openBracket(): void {
    if (this.#callDepth > 0) {
      this.#callDepth += 1;
      return;
    }
    const keys = keyArguments(this.#previous);
    if (keys !== undefined || this.#previous.startsWith("dblink")) {
      this.#callDepth = 1;
      this.#keys = keys ?? [];
      this.#argument = 0;
      this.#isConnect = this.#previous.startsWith("dblink_connect");
    }
  }

  get #isKey(): boolean {
    return this.#callDepth > 0 && this.#keys.includes(this.#argument);
  }

  #endCall(depth: number): void {
    this.#callDepth = depth;
    this.#isConnect &&= depth > 0;
    this.#isBrokenOff &&= depth > 0;
  }

  #inString(token: Extract<SqlToken, { kind: "string" }>): Span[] {
    this.#previous = "";
    const whole = { start: token.contentStart, end: token.contentEnd };
    if (this.#expectsSecret || this.#isBrokenOff || this.#isKey) {
      // Stays set: 'a' 'b' over two lines is one string.
      return [whole];
    }
    const content = this.#tokens.slice(whole.start, whole.end);
    const { bytes, offsets } = unquote(content, token.quoting);
    const text = bytes.toString("latin1");
    const inside = this.#takesConnection ? this.#inConnection(text) : [];
    const found = inside.length > 0 ? inside : this.#inNested(bytes, text);
    return found.map(({ start, end }) => ({
      start: whole.start + (offsets?.[start] ?? start),
      end: whole.start + (offsets?.[end] ?? end),
    }));
  }

  get #takesConnection(): boolean {
    return this.#isSecretive || this.#callDepth > 0;
  }

  #inConnection(text: string): Span[] {
    const spans = connectionSecrets(text);
    this.#isBrokenOff = this.#isConnect && spans.at(-1)?.end === text.length;
    return spans;
  }

  /** A string may be a statement itself: the body of a function, what EXECUTE or dblink_exec run. */
  #inNested(bytes: Buffer, text: string): Span[] {
    if (this.#depth >= maxDepth || !mayHoldSecret(text)) {
      return [];
    }
    const finder = new SecretFinder(this.#syntax, this.#depth + 1);
    return [...finder.push(bytes), ...finder.finish()];
  }
}

/**
 * Passwords of a libpq connection string or URI. SECURITY: a text that is not one from its first word on is left alone:
 * otherwise a statement could hide its own words behind `password=`.
 */
export function connectionSecrets(text: string): Span[] {
  // SECURITY: the name takes no colon. With one, a text of colons alone would be read once for each of them.
  const uri = /^\s*postgres(?:ql)?:\/\/[^@/?:\s]*:([^@/?\s]*)@/d.exec(text);
  const isConnection = uri !== null || /^\s*(?:postgres(?:ql)?:|[a-z_]+\s*=)/i.test(text);
  if (!isConnection) {
    return [];
  }
  const values = text.matchAll(/password\s*=\s*('(?:[^'\\]|\\.)*'?|[^\s&]*)/dgi);
  return [uri, ...values].flatMap((match) => {
    const range = match?.indices?.[1];
    return range === undefined ? [] : [{ start: range[0], end: range[1] }];
  });
}

/** A string's bytes as the server sees them, but for backslash escapes other than of quotes, with where each one stood. */
function unquote(
  content: Buffer,
  quoting: Quoting,
): { bytes: Buffer; offsets: readonly number[] | undefined } {
  const quote = 0x27;
  const backslash = 0x5c;
  if (quoting === "dollar" || !(content.includes(quote) || content.includes(backslash))) {
    return { bytes: content, offsets: undefined };
  }
  const bytes: number[] = [];
  const offsets: number[] = [];
  for (let at = 0; at < content.length; at += 1) {
    offsets.push(at);
    const byte = content[at] ?? 0;
    const isEscape = byte === quote || (byte === backslash && quoting === "escape");
    at += isEscape ? 1 : 0;
    bytes.push(isEscape ? (content[at] ?? byte) : byte);
  }
  return { bytes: Buffer.from(bytes), offsets: [...offsets, content.length] };
}
