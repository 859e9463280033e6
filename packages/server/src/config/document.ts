// jitdb.yaml as text with positions: parses YAML, fills in references, and says on which line a key or a value stands.
// Knows nothing of what the keys mean.

import {
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type ParsedNode,
  parseDocument,
  visit,
} from "yaml";
import {
  isReference,
  type ReferenceSources,
  type Resolved,
  resolveReference,
} from "./references.ts";

/** Something to mend in the file. A warning does not keep the server from starting. */
export interface ConfigProblem {
  readonly severity: "error" | "warning";
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** What is wrong, naming the key. */
  readonly message: string;
  /** What to do about it; empty where the message says it. */
  readonly fix: string;
}

export type Path = readonly PropertyKey[];

/** Collects the problems of one file, each at the place of its path. */
export class ConfigDocument {
  readonly #file: string;
  readonly #lines = new LineCounter();
  readonly #document: Document<ParsedNode>;
  readonly #problems: ConfigProblem[] = [];
  /** Where references failed: what else is wrong with the value there follows from that. */
  readonly #unfilled = new Set<number>();

  /** @param file the name to show, as the user wrote it */
  constructor(file: string, text: string, sources: ReferenceSources) {
    this.#file = file;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    for (const error of this.#document.errors) {
      this.#addAt(error.pos[0], "error", sentence(error.message), "");
    }
    this.#fillIn(sources);
  }

  /** In the order of the file. */
  get problems(): readonly ConfigProblem[] {
    return this.#problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
  }

  /** Whether it is YAML at all. */
  get readable(): boolean {
    return this.#document.errors.length === 0;
  }

  get failed(): boolean {
    return this.#problems.some((problem) => problem.severity === "error");
  }

  /** Plain values; those that were filled in are Secrets. */
  toJS(): unknown {
    return this.#document.toJS({ maxAliasCount: 20 });
  }

  has(path: Path): boolean {
    return this.#find(path).rest.length === 0;
  }

  /** Where the value at `path` begins. */
  place(path: Path): Pick<ConfigProblem, "line" | "column"> {
    const { line, col } = this.#lines.linePos(this.#valueOffset(path));
    return { line, column: col };
  }

  /** Reports at the value of `path`, or, where it is missing, at the nearest key above it. */
  error(path: Path, message: string, fix = ""): void {
    const offset = this.#valueOffset(path);
    if (!this.#unfilled.has(offset)) {
      this.#addAt(offset, "error", label(path, message), fix);
    }
  }

  /** Reports at a place inside the text at `path`, where it stands on one line as it is. */
  errorInside(path: Path, inside: number, message: string, fix = ""): void {
    const { node } = this.#find(path);
    const type = isScalar(node) ? node.type : undefined;
    const quote = type === "QUOTE_DOUBLE" || type === "QUOTE_SINGLE" ? 1 : 0;
    const offset = quote === 1 || type === "PLAIN" ? quote + inside : 0;
    this.#addAt(this.#valueOffset(path) + offset, "error", label(path, message), fix);
  }

  /** Reports at the section that lacks a key. */
  missing(section: Path, key: string): void {
    const offset = this.#find(section).keyOffset;
    this.#addAt(offset, "error", label(section, `${key} is missing.`), `Add "${key}:" here.`);
  }

  /** Reports at the key itself. */
  errorAtKey(path: Path, message: string, fix = ""): void {
    this.#addAt(this.#find(path).keyOffset, "error", label(path.slice(0, -1), message), fix);
  }

  warning(path: Path, message: string, fix = ""): void {
    this.#addAt(this.#valueOffset(path), "warning", label(path, message), fix);
  }

  #addAt(offset: number, severity: "error" | "warning", message: string, fix: string): void {
    const { line, col } = this.#lines.linePos(offset);
    this.#problems.push({ severity, file: this.#file, line, column: col, message, fix });
  }

  #valueOffset(path: Path): number {
    const found = this.#find(path);
    const start = found.node?.range?.[0];
    return found.rest.length === 0 && start !== undefined ? start : found.keyOffset;
  }

  /** Walks down as far as the document goes. */
  #find(path: Path): { node: Node | undefined; keyOffset: number; rest: Path } {
    let node: Node | undefined = this.#document.contents ?? undefined;
    let keyOffset = 0;
    for (const [depth, step] of path.entries()) {
      const child = childOf(isAlias(node) ? node.resolve(this.#document) : node, step);
      if (child === undefined) {
        return { node, keyOffset, rest: path.slice(depth) };
      }
      node = child.value;
      keyOffset = child.offset;
    }
    return { node, keyOffset, rest: [] };
  }

  #fillIn(sources: ReferenceSources): void {
    visit(this.#document, {
      Scalar: (key, node) => {
        if (key !== "key" && typeof node.value === "string" && isReference(node.value)) {
          const resolved: Resolved = resolveReference(node.value, sources);
          if (resolved.ok) {
            node.value = resolved.value;
          } else {
            const offset = node.range?.[0] ?? 0;
            this.#unfilled.add(offset);
            this.#addAt(offset, "error", resolved.problem, resolved.fix);
          }
        }
      },
    });
  }
}

function childOf(
  node: Node | undefined,
  step: PropertyKey,
): { value: Node | undefined; offset: number } | undefined {
  if (isMap<Node, Node>(node)) {
    const pair = node.items.find(
      (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === step,
    );
    return pair && { value: pair.value ?? undefined, offset: pair.key.range?.[0] ?? 0 };
  }
  if (isSeq<Node>(node) && typeof step === "number") {
    const item = node.items[step];
    return item && { value: item, offset: item.range?.[0] ?? 0 };
  }
  return undefined;
}

function label(path: Path, message: string): string {
  const key = path.reduce<string>(
    (text, step) =>
      typeof step === "number" ? `${text}[${step}]` : `${text}${text && "."}${String(step)}`,
    "",
  );
  return key === "" ? message : `${key}: ${message}`;
}

function sentence(text: string): string {
  return text.endsWith(".") ? text : `${text}.`;
}
