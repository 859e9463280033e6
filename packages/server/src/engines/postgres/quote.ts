// The one place where names and texts become SQL (PostgreSQL manual, §4.1.1 and §4.1.2).

/** A name as an identifier: always quoted, so that no catalogue entry is ever read as SQL. */
export function quoteName(name: string): string {
  return `"${withoutNul(name).replaceAll('"', '""')}"`;
}

/** A text as a literal that reads the same whatever standard_conforming_strings says. */
export function quoteLiteral(text: string): string {
  const quoted = withoutNul(text).replaceAll("'", "''");
  return quoted.includes("\\") ? `E'${quoted.replaceAll("\\", "\\\\")}'` : `'${quoted}'`;
}

export function quoteNames(names: readonly string[]): string {
  return names.map(quoteName).join(", ");
}

function withoutNul(text: string): string {
  if (text.includes("\0")) {
    throw new RangeError("PostgreSQL has no NUL in names and texts.");
  }
  return text;
}
