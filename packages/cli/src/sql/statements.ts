// Splits typed or piped SQL into statements, line by line, as psql does: at semicolons outside of quotes, comments,
// parentheses and the bodies of SQL-standard routines. Only decides what is sent together; the database reads for itself.

type Mode = "plain" | "string" | "escapeString" | "identifier" | "dollar" | "comment";

/** What ends or matters in each mode. Words are taken whole, so that a `$` inside of one opens no quote. */
const patterns: Readonly<Record<Exclude<Mode, "dollar">, RegExp>> = {
  plain:
    /--[^\n]*|\/\*|[eE]'|'|"|[\p{L}_\u0080-\uffff][\w$\u0080-\uffff]*|\$(?:[\p{L}_][\w\u0080-\uffff]*)?\$|[();]/gu,
  string: /''|'/g,
  escapeString: /\\[\s\S]|''|'/g,
  identifier: /""|"/g,
  comment: /\/\*|\*\//g,
};

export class StatementSplitter {
  #text = "";
  #mode: Mode = "plain";
  /** The tag that ends a dollar-quoted string, or how deep comments and parentheses are nested. */
  #tag = "";
  #commentDepth = 0;
  #parentheses = 0;
  /** The first words of the statement, and how deep it is in BEGIN ATOMIC … END. */
  #words: string[] = [];
  #blocks = 0;

  /** Whether a statement has begun that is not complete. */
  get isInside(): boolean {
    return this.#mode !== "plain" || this.#text.trim() !== "";
  }

  /** Takes one line (without its end) and gives the statements that it completes, semicolons included. */
  push(line: string): string[] {
    const statements: string[] = [];
    const text = `${line}\n`;
    let start = 0;
    for (let at = 0; at < text.length; ) {
      const [token, end] = this.#nextToken(text, at);
      at = end;
      if (this.#take(token)) {
        statements.push((this.#text + text.slice(start, end)).trim());
        this.#reset();
        start = end;
      }
    }
    this.#text += text.slice(start);
    return statements.filter((statement) => statement !== ";");
  }

  /** What was not ended by a semicolon, or nothing; begins anew. */
  finish(): string {
    const rest = this.#text.trim();
    this.#reset();
    this.#mode = "plain";
    return rest;
  }

  #reset(): void {
    this.#text = "";
    this.#words = [];
    this.#parentheses = 0;
    this.#blocks = 0;
  }

  /** The next token that matters and the offset behind it; "" at the end of the text. */
  #nextToken(text: string, from: number): [string, number] {
    if (this.#mode === "dollar") {
      const found = text.indexOf(this.#tag, from);
      return found === -1 ? ["", text.length] : [this.#tag, found + this.#tag.length];
    }
    const pattern = patterns[this.#mode];
    pattern.lastIndex = from;
    const token = pattern.exec(text)?.[0] ?? "";
    return token === "" ? ["", text.length] : [token, pattern.lastIndex];
  }

  /** True where the token ends the statement. */
  #take(token: string): boolean {
    switch (this.#mode) {
      case "plain":
        return this.#takePlain(token);
      case "dollar":
        this.#mode = token === this.#tag ? "plain" : "dollar";
        return false;
      case "comment":
        this.#commentDepth += token === "/*" ? 1 : token === "*/" ? -1 : 0;
        this.#mode = this.#commentDepth === 0 ? "plain" : "comment";
        return false;
      default:
        // Doubled quotes and escapes are longer: they stay inside.
        this.#mode = token === "'" || token === '"' ? "plain" : this.#mode;
        return false;
    }
  }

  #takePlain(token: string): boolean {
    switch (token) {
      case "'":
        this.#mode = "string";
        return false;
      case "e'":
      case "E'":
        this.#mode = "escapeString";
        return false;
      case '"':
        this.#mode = "identifier";
        return false;
      case "/*":
        this.#mode = "comment";
        this.#commentDepth = 1;
        return false;
      case "(":
        this.#parentheses += 1;
        return false;
      case ")":
        this.#parentheses = Math.max(0, this.#parentheses - 1);
        return false;
      case ";":
        return this.#parentheses === 0 && this.#blocks === 0;
      default:
        this.#takeWord(token);
        return false;
    }
  }

  #takeWord(token: string): void {
    if (token.startsWith("$")) {
      this.#mode = "dollar";
      this.#tag = token;
      return;
    }
    if (token === "" || token.startsWith("--")) {
      return;
    }
    const word = token.toLowerCase();
    if (this.#words.length < 4) {
      this.#words.push(word);
    }
    const [first, ...others] = this.#words;
    const isRoutine =
      first === "create" && (others.includes("function") || others.includes("procedure"));
    if (isRoutine && (word === "begin" || (word === "case" && this.#blocks > 0))) {
      this.#blocks += 1;
    } else if (isRoutine && word === "end" && this.#blocks > 0) {
      this.#blocks -= 1;
    }
  }
}
