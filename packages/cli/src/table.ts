// Tables: aligned columns for people, tab-separated lines for pipes.

import { clean, pad, truncate, widthOf } from "./text.ts";

/** One column: its heading, and what it shows of a row in each of the two forms. */
export interface Column<Row> {
  readonly heading: string;
  /** For people. May be text of others: it is cleaned here. */
  readonly show: (row: Row) => string;
  /** For pipes, where it differs: exact times instead of relative ones. */
  readonly plain?: (row: Row) => string;
  /** Left out of a terminal that is too narrow for all; of several the last goes first. */
  readonly spare?: boolean;
}

const gap = "  ";
const narrowestCells = 8;

/**
 * Lines of a table that fits into `width` cells: a heading, then a line a row. Where the columns do not fit, the widest
 * gives way, but never the first one: it names the row, and is there to be copied. Where that is not enough, spare columns
 * are left out; those in which nothing stands always are. `heading` styles the first line.
 */
export function formatTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
  heading: (text: string) => string,
): string[] {
  const drawn = chooseColumns(
    columns
      .map((column) => drawColumn(column, rows))
      .filter(({ cells }) => cells.slice(1).some((cell) => cell !== "")),
    width,
  );
  const widths = shrink(
    drawn.map((column) => column.width),
    width - gap.length * (drawn.length - 1),
  );
  return ["", ...rows].map((_, index) => {
    const text = drawn
      .map(({ cells }, column) => {
        const cellWidth = widths[column] ?? 0;
        return pad(truncate(cells[index] ?? "", cellWidth), cellWidth);
      })
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

/** A column with its heading as the first cell. */
interface DrawnColumn {
  readonly cells: readonly string[];
  readonly width: number;
  readonly spare: boolean;
}

function drawColumn<Row>(
  { heading, show, spare = false }: Column<Row>,
  rows: readonly Row[],
): DrawnColumn {
  const cells = [heading, ...rows.map((row) => clean(show(row)))];
  return { cells, width: Math.max(...cells.map(widthOf)), spare };
}

/** Without the spare ones that would not even fit when all have given way. */
function chooseColumns(columns: readonly DrawnColumn[], width: number): readonly DrawnColumn[] {
  const narrowest = columns.reduce(
    (sum, column, index) =>
      sum + (index === 0 ? column.width : gap.length + Math.min(column.width, narrowestCells)),
    0,
  );
  const last = columns.findLastIndex(({ spare }) => spare);
  return narrowest <= width || last === -1
    ? columns
    : chooseColumns(columns.toSpliced(last, 1), width);
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
