// Tables: aligned columns for people, tab-separated lines for pipes.

import { clean, pad, truncate, widthOf } from "./text.ts";

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
 * gives way, but never the first one: it names the row, and is there to be copied. `heading` styles the first line.
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

function shrink([first = 0, ...others]: readonly number[], available: number): number[] {
  let excess = others.reduce((sum, width) => sum + width, first) - available;
  while (excess > 0) {
    const widest = Math.max(...others);
    if (widest <= narrowestCells) {
      break;
    }
    others[others.indexOf(widest)] = widest - 1;
    excess -= 1;
  }
  return [first, ...others];
}
