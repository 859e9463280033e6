// Finds secrets in statements with PostgreSQL's own parser, which reads escapes and quoted names as the server does.
// What is inside of strings (bodies of functions, statements that are put together) is the tokenizer's matter: secrets.ts.

import { isAscii, isUtf8 } from "node:buffer";
import type { ScanToken } from "libpg-query";
import { connectionSecrets, keyArguments, type Span, secretOption } from "./secrets.ts";
import type { SqlSyntax } from "./sql-tokenizer.ts";

type Parser = Pick<typeof import("libpg-query"), "parseSync" | "scanSync" | "hasSqlDetails">;

/** Longer ones are the tokenizer's alone: the event loop waits for the parser, which takes up to 5 ms for so many. */
const maxStatementBytes = 4 * 1024;

export interface FoundSecrets {
  readonly spans: readonly Span[];
  /** Parameters, from 1, that are secrets. */
  readonly parameters: readonly number[];
}

/** Loads the parser (WebAssembly); takes some milliseconds, so a gateway does it at its start. */
export async function loadParsedSecrets(): Promise<ParsedSecrets> {
  const { default: parser, ...named } = await import("libpg-query");
  const loaded = (parser as typeof named | undefined) ?? named;
  await loaded.loadModule();
  return new ParsedSecrets(loaded);
}

export class ParsedSecrets {
  readonly #parser: Parser;
  #isBroken = false;

  constructor(parser: Parser) {
    this.#parser = parser;
  }

  /** @returns undefined for what can't be parsed as the server would do it */
  find(text: Uint8Array, { encoding, standardStrings }: SqlSyntax): FoundSecrets | undefined {
    const isReadable = encoding === "UTF8" ? isUtf8(text) : isAscii(text);
    if (this.#isBroken || !isReadable || !standardStrings || text.length > maxStatementBytes) {
      return undefined;
    }
    const sql = Buffer.from(text).toString("utf8");
    try {
      const { stmts = [] } = this.#parser.parseSync(sql);
      const search = new Search(Buffer.from(text), this.#parser.scanSync(sql).tokens);
      for (const { stmt, stmt_location: start = 0 } of stmts) {
        search.statement(stmt, start);
      }
      return search.found;
    } catch (error) {
      // Behind an exhausted stack the module's memory can't be trusted any more; a syntax error is the server's to tell.
      this.#isBroken = !this.#parser.hasSqlDetails(error);
      return undefined;
    }
  }
}

/** Statements whose options may be passwords or connection strings. */
const optionStatements = new Set([
  "CreateRoleStmt",
  "AlterRoleStmt",
  "CreateUserMappingStmt",
  "AlterUserMappingStmt",
  "CreateForeignServerStmt",
  "AlterForeignServerStmt",
  "CreateFdwStmt",
  "AlterFdwStmt",
]);
const connectionSetting = /conninfo|password/i;

/** A node of the parse tree: an object of fields, among them other nodes. */
type Node = Readonly<Record<string, unknown>>;

/** A string literal in the text. */
interface Literal extends Span {
  /** Its content, without quotes. */
  readonly content: Span;
}

class Search {
  readonly #text: Buffer;
  readonly #literals: readonly Literal[];
  readonly #spans: Span[] = [];
  readonly #parameters: number[] = [];

  constructor(text: Buffer, tokens: readonly ScanToken[]) {
    this.#text = text;
    this.#literals = tokens.flatMap(({ start, end }) => literalAt(text, start, end));
  }

  get found(): FoundSecrets {
    const spans = this.#spans.toSorted((one, other) => one.start - other.start);
    return { spans: spans.filter(({ start, end }) => end > start), parameters: this.#parameters };
  }

  /** @param start of the statement in the text */
  statement(statement: unknown, start: number): void {
    for (const [name, node] of walk(statement)) {
      this.#known(name, node, start);
    }
  }

  #known(name: string, node: Node, start: number): void {
    if (optionStatements.has(name)) {
      this.#options(node["options"]);
    } else if (name === "FuncCall") {
      this.#call(node);
    } else if (name === "CreateSubscriptionStmt" || name === "AlterSubscriptionStmt") {
      this.#connection(this.#literalBehind(start), node["conninfo"]);
    } else if (name === "VariableSetStmt" && connectionSetting.test(String(node["name"]))) {
      this.#connections(node["args"], false);
    }
  }

  #options(options: unknown): void {
    for (const option of nodesOf(options, "DefElem")) {
      const { arg } = option;
      const literal = this.#literalBehind(locationOf(option));
      if (secretOption.test(String(option["defname"]))) {
        this.#parameters.push(...numbersOf(arg));
        if (stringOf(arg) !== undefined) {
          this.#whole(literal);
        }
      } else {
        this.#connection(literal, stringOf(arg));
      }
    }
  }

  #call({ funcname, args }: Node): void {
    const name = stringOf(Array.isArray(funcname) ? funcname.at(-1) : undefined) ?? "";
    if (name.startsWith("dblink")) {
      this.#connections(args, name.startsWith("dblink_connect"));
      return;
    }
    for (const index of keyArguments(name) ?? []) {
      const key: unknown = Array.isArray(args) ? args[index] : undefined;
      this.#parameters.push(...numbersOf(key));
      for (const constant of nodesOf(key, "A_Const")) {
        this.#whole(this.#literalAt(constant));
      }
    }
  }

  /** @param isConnect of dblink_connect: what follows `password=` in another constant is the password, and so are parameters */
  #connections(args: unknown, isConnect: boolean): void {
    if (isConnect) {
      this.#parameters.push(...numbersOf(args));
    }
    let isBrokenOff = false;
    for (const constant of nodesOf(args, "A_Const")) {
      const literal = this.#literalAt(constant);
      const text = sval(constant);
      if (isBrokenOff) {
        this.#whole(literal);
      } else {
        this.#connection(literal, text);
        isBrokenOff = isConnect && /password\s*=\s*'?$/i.test(text ?? "");
      }
    }
  }

  /** @param value of the literal, as the server reads it */
  #connection(literal: Literal | undefined, value: unknown): void {
    if (literal === undefined || typeof value !== "string") {
      return;
    }
    const bytes = Buffer.from(value);
    const secrets = connectionSecrets(bytes.toString("latin1"));
    const { start, end } = literal.content;
    if (secrets.length > 0 && !this.#text.subarray(start, end).equals(bytes)) {
      // Escapes stand in it, so that places in its value are not places in the text.
      this.#whole(literal);
      return;
    }
    this.#spans.push(...secrets.map((one) => ({ start: start + one.start, end: start + one.end })));
  }

  #whole(literal: Literal | undefined): void {
    if (literal !== undefined) {
      this.#spans.push(literal.content);
    }
  }

  #literalAt(constant: Node): Literal | undefined {
    return this.#literals.find(({ start }) => start === locationOf(constant));
  }

  #literalBehind(offset: number): Literal | undefined {
    return this.#literals.find(({ start }) => start >= offset);
  }
}

/** The literal that a token is, if it is one: '…', E'…', N'…', U&'…', $tag$…$tag$. */
function literalAt(text: Buffer, start: number, end: number): Literal[] {
  const token = text.subarray(start, end).toString("latin1");
  const opening = /^(?:(?:[en]|u&)?'|\$[^$]*\$)/i.exec(token)?.[0];
  if (opening === undefined) {
    return [];
  }
  const closing = opening.startsWith("$") ? opening.length : 1;
  return [{ start, end, content: { start: start + opening.length, end: end - closing } }];
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Every named node of a part of the tree. SECURITY: not by recursion, which a deep statement would exhaust. */
function* walk(root: unknown): Generator<readonly [name: string, node: Node]> {
  const rest = [root];
  while (rest.length > 0) {
    const value = rest.pop();
    if (Array.isArray(value)) {
      rest.push(...value);
    } else if (isNode(value)) {
      for (const [name, field] of Object.entries(value)) {
        if (isNode(field)) {
          yield [name, field];
        }
        rest.push(field);
      }
    }
  }
}

/** All nodes of that name in a part of the tree, in the order of the text. */
function nodesOf(root: unknown, wanted: string): Node[] {
  const nodes = Array.from(walk(root)).flatMap(([name, node]) => (name === wanted ? [node] : []));
  return nodes.sort((one, other) => locationOf(one) - locationOf(other));
}

/** Byte offset in the text; the tree leaves 0 out. */
function locationOf({ location = 0 }: Node): number {
  return Number(location);
}

function numbersOf(value: unknown): number[] {
  return nodesOf(value, "ParamRef").map((parameter) => Number(parameter["number"]));
}

/** The value of a String node. */
function stringOf(value: unknown): string | undefined {
  const [string] = nodesOf([value], "String");
  const text = string?.["sval"];
  return typeof text === "string" ? text : undefined;
}

/** The value of a constant that is a string. */
function sval(constant: Node): string | undefined {
  const inner = constant["sval"];
  const text = isNode(inner) ? inner["sval"] : undefined;
  return typeof text === "string" ? text : undefined;
}
