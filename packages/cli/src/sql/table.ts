// Results as psql's aligned tables, for people. The first rows fix the widths, later ones flow; NULL is written out, control
// characters are shown by their codes, very long values are cut and marked. For exact data there are CSV and JSON.

import { decodeText } from "@jitdb/shared/postgres/reader";
import type { Column } from "@jitdb/shared/postgres/rows";
import { widthOf } from "../text.ts";
import type { ResultFormat, Row } from "./format.ts";

/** Limits of a table. */
export const tableLimits = {
  /** Rows, and characters in them, that are kept to find the widths. */
  maxSampleRows: 1000,
  maxSampleCharacters: 1_048_576,
  /** Characters of a value that are shown. */
  maxCellCharacters: 500,
} as const;

export class TableFormat implements ResultFormat {
  #columns: readonly Column[] = [];
  /** Rows that wait for the widths; undefined once those are fixed. */
  #sample: string[][] | undefined;
  #sampleCharacters = 0;
  #widths: readonly number[] = [];
  #rows = 0;

  begin(columns: readonly Column[]): string {
    this.#columns = columns;
    this.#sample = [];
    this.#sampleCharacters = 0;
    this.#rows = 0;
    return "";
  }

  row(row: Row): string {
    this.#rows += 1;
    const cells = row.map((value) => (value === null ? "NULL" : show(decodeText(value))));
    if (this.#sample === undefined) {
      return this.#line(cells);
    }
    this.#sample.push(cells);
    this.#sampleCharacters += cells.reduce((sum, cell) => sum + cell.length, 0);
    const isFull =
      this.#sample.length >= tableLimits.maxSampleRows ||
      this.#sampleCharacters >= tableLimits.maxSampleCharacters;
    return isFull ? this.#fixWidths(this.#sample) : "";
  }

  end(): string {
    const head = this.#sample === undefined ? "" : this.#fixWidths(this.#sample);
    return `${head}(${this.#rows} ${this.#rows === 1 ? "row" : "rows"})\n\n`;
  }

  #fixWidths(sample: readonly string[][]): string {
    const names = this.#columns.map(({ name }) => show(name));
    this.#widths = names.map((name, index) =>
      sample.reduce((most, cells) => Math.max(most, widthOf(cells[index] ?? "")), widthOf(name)),
    );
    this.#sample = undefined;
    const heading = names.map((name, index) => center(name, this.#widths[index] ?? 0));
    const rule = this.#widths.map((width) => "-".repeat(width + 2)).join("+");
    return `${joined(heading)}${rule}\n${sample.map((cells) => this.#line(cells)).join("")}`;
  }

  #line(cells: readonly string[]): string {
    return joined(
      cells.map((cell, index) => {
        const padding = " ".repeat(Math.max(0, (this.#widths[index] ?? 0) - widthOf(cell)));
        const isNumber = numberTypes.has(this.#columns[index]?.typeOid ?? 0);
        return isNumber ? padding + cell : cell + padding;
      }),
    );
  }
}

function joined(cells: readonly string[]): string {
  return `${` ${cells.join(" | ")}`.trimEnd()}\n`;
}

function center(text: string, width: number): string {
  const space = width - widthOf(text);
  return " ".repeat(Math.floor(space / 2)) + text + " ".repeat(Math.ceil(space / 2));
}

/** int8, int2, int4, oid, float4, float8, money, numeric: aligned to the right. */
const numberTypes: ReadonlySet<number> = new Set([20, 21, 23, 26, 700, 701, 790, 1700]);

/**
 * A value on one line.
 * SECURITY: data may hold escape sequences that rewrite the screen, and direction marks that reorder it; they are shown as codes.
 */
function show(text: string): string {
  const { maxCellCharacters } = tableLimits;
  const hidden = text.length - maxCellCharacters;
  const kept = hidden > 0 ? `${text.slice(0, maxCellCharacters)}… (${hidden} more)` : text;
  return kept.replaceAll(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, (character) => {
    const code = character.charCodeAt(0);
    return named[character] ?? (code < 256 ? `\\x${hex(code, 2)}` : `\\u${hex(code, 4)}`);
  });
}

const named: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function hex(code: number, digits: number): string {
  return code.toString(16).padStart(digits, "0");
}
