// Results as CSV: quoting of RFC 4180, lines that end in LF as those of psql. A heading each, an empty line between results.
// NULL is nothing at all, an empty text is `""`.

import { decodeText } from "@jitdb/shared/postgres/reader";
import type { Column } from "@jitdb/shared/postgres/rows";
import type { ResultFormat, Row } from "./format.ts";

export class CsvFormat implements ResultFormat {
  #results = 0;

  begin(columns: readonly Column[]): string {
    this.#results += 1;
    const heading = `${columns.map(({ name }) => quote(name)).join(",")}\n`;
    return this.#results === 1 ? heading : `\n${heading}`;
  }

  row(row: Row): string {
    return `${row.map((value) => (value === null ? "" : quote(decodeText(value)))).join(",")}\n`;
  }

  end(): string {
    return "";
  }
}

function quote(text: string): string {
  return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
