// A table for a terminal: columns as wide as what stands in them, numbers to the right.

export class Table {
  readonly #rows: (readonly string[])[];

  constructor(heading: readonly string[]) {
    this.#rows = [heading];
  }

  add(row: readonly string[]): void {
    this.#rows.push(row);
  }

  toString(): string {
    const widths = (this.#rows[0] ?? []).map((_, column) =>
      Math.max(...this.#rows.map((row) => row[column]?.length ?? 0)),
    );
    const pad = (text: string, column: number) =>
      column === 0 ? text.padEnd(widths[0] ?? 0) : text.padStart(widths[column] ?? 0);
    return this.#rows.map((row) => `${row.map(pad).join("  ").trimEnd()}\n`).join("");
  }
}
