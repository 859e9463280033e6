// Pages of lists, newest first. The next page starts behind the last row seen, not at a count, so that rows that come
// meanwhile neither repeat nor hide any.

import { JitdbError } from "@jitdb/shared/errors";

/** Where a row stands in its list. */
export interface Position {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly id: string;
}

export interface Page<T> {
  readonly rows: readonly T[];
  /** Cursor of the page after this one; null: this is the last. */
  readonly next: string | null;
}

/** Cuts what was read with a limit of `limit + 1` to a page. */
export function pageOf<T>(
  rows: readonly T[],
  limit: number,
  position: (row: T) => Position,
): Page<T> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  if (rows.length <= limit || last === undefined) {
    return { rows: shown, next: null };
  }
  const { at, id } = position(last);
  return { rows: shown, next: `${at}-${id}` };
}

/** @throws JitdbError `usage.invalid` for a cursor that no page has given out */
export function parseCursor(cursor: string): Position {
  const match = /^(\d{1,15})-(\w{1,60})$/.exec(cursor);
  if (match === null) {
    throw new JitdbError("usage.invalid", "The cursor of the page is not one of ours.", {
      hint: "Start again with the first page.",
    });
  }
  const [, at = "", id = ""] = match;
  return { at: Number(at), id };
}
