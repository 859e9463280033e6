// What a format of results is, and which there are.

import type { Column } from "@jitdb/shared/postgres/rows";
import { CsvFormat } from "./csv.ts";
import { JsonFormat } from "./json.ts";
import { TableFormat } from "./table.ts";

/** A row's values as text in UTF-8, the form in which PostgreSQL sends them; null is SQL's NULL. */
export type Row = readonly (Uint8Array | null)[];

/** Makes text of results, one after another, without keeping more than a bound of them. */
export interface ResultFormat {
  /** A result begins. */
  begin(columns: readonly Column[]): string;
  row(row: Row): string;
  /** The result is whole. */
  end(): string;
}

export const formatNames = ["table", "csv", "json"] as const;
export type FormatName = (typeof formatNames)[number];

export function createFormat(name: FormatName): ResultFormat {
  switch (name) {
    case "table":
      return new TableFormat();
    case "csv":
      return new CsvFormat();
    case "json":
      return new JsonFormat();
  }
}
