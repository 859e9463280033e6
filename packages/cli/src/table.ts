// Tables: aligned columns for people, tab-separated lines for pipes.

import { clean, truncate, widthOf } from "./text.ts";

/** One column: its heading, and what it shows of a row in each of the two forms. */
export interface Column<Row> {
  readonly heading: string;
  /** For people. May be text of others: it is cleaned here. */
  readonly show: (row: Row) => string;
  /** For pipes, where it differs: exact times instead of relative ones. */
  readonly plain?: (row: Row) => string;
}

const gap = "  ";
const narrowestCells = 8;

/**
 * Lines of a table that fits into `width` cells: a heading, then a line a row. Where the columns do not fit, the widest
 * one gives way first. `heading` styles the first line.
 */
export function formatTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
  heading: (text: string) => string,
): string[] {
  const table = [
    columns.map((column) => column.heading),
    ...rows.map((row) => columns.map((column) => clean(column.show(row)))),
  ];
  const widths = shrink(
    columns.map((_, index) => Math.max(...table.map((cells) => widthOf(cells[index] ?? "")))),
    width - gap.length * (columns.length - 1),
  );
  return table.map((cells, index) => {
    const text = cells
      .map((cell, column) => pad(truncate(cell, widths[column] ?? 0), widths[column] ?? 0))
      .join(gap)
      .trimEnd();
    return index === 0 ? heading(text) : text;
  });
}

/** A line a row, cells separated by tabs, nothing cut and no heading: for `cut`, `awk` and their like. */
export function formatPlain<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  return rows.map((row) =>
    columns.map((column) => clean((column.plain ?? column.show)(row))).join("\t"),
  );
}

function shrink(widths: readonly number[], available: number): number[] {
  const fitted = [...widths];
  let excess = fitted.reduce((sum, width) => sum + width, 0) - available;
  while (excess > 0) {
    const widest = Math.max(...fitted);
    if (widest <= narrowestCells) {
      return fitted;
    }
    fitted[fitted.indexOf(widest)] = widest - 1;
    excess -= 1;
  }
  return fitted;
}

function pad(text: string, cells: number): string {
  return text + " ".repeat(Math.max(0, cells - widthOf(text)));
}
