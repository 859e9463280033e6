// What the model of the server knows of SQL: the few statements of grammar.ts, what they change, and what they answer.

export interface Portal {
  readonly text: string | null;
  /** Rows that are left; undefined before the first Execute. */
  rows: number | undefined;
}

export class ServerError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

interface Effects {
  readonly statements: Map<string, string | null>;
  readonly portals: Map<string, Portal>;
  readonly isInBlock: boolean;
  readonly setState: (state: "idle" | "transaction") => void;
}

export function refuse(code: string): never {
  throw new ServerError(code);
}

export const effects: Readonly<Record<string, (server: Effects) => void>> = {
  "SELECT 1/0": () => refuse("22012"),
  BEGIN: ({ isInBlock, setState }) => (isInBlock ? undefined : setState("transaction")),
  COMMIT: ({ setState }) => setState("idle"),
  ROLLBACK: ({ setState }) => setState("idle"),
  "PREPARE a AS SELECT 1": ({ statements }) =>
    statements.has("a") ? refuse("42P05") : statements.set("a", null),
  "EXECUTE a": ({ statements }) => (statements.has("a") ? undefined : refuse("26000")),
  "DEALLOCATE a": ({ statements }) => (statements.delete("a") ? undefined : refuse("26000")),
  "DEALLOCATE ALL": ({ statements }) => statements.clear(),
  "DECLARE b CURSOR FOR SELECT 1": ({ portals, isInBlock }) =>
    !isInBlock || portals.has("b")
      ? refuse("25P01")
      : portals.set("b", { text: null, rows: undefined }),
  "CLOSE b": ({ portals }) => (portals.delete("b") ? undefined : refuse("34000")),
  "DISCARD ALL": ({ statements, portals, isInBlock }) => {
    if (isInBlock) {
      refuse("25001");
    }
    statements.clear();
    portals.clear();
  },
};

const rowCounts: Readonly<Record<string, number>> = {
  "SELECT 1": 1,
  "SELECT 1/0": 1,
  "SELECT generate_series(1, 5)": 5,
  "EXECUTE a": 1,
};
const others = ["COPY t FROM STDIN", "COPY (SELECT 1) TO STDOUT", "SET client_encoding TO 'UTF8'"];

export function rowsOf(command: string): number {
  return Object.hasOwn(rowCounts, command) ? (rowCounts[command] ?? 0) : 0;
}

export function isKnown(command: string): boolean {
  const known = [...Object.keys(rowCounts), ...Object.keys(effects), ...others];
  return known.includes(command);
}

export function tagOf(command: string): string {
  return rowsOf(command) > 0 ? `SELECT ${rowsOf(command)}` : (command.split(" ")[0] ?? "");
}

/** The commands of a text, without the comment that the grammar marks it with. */
export function commandsOf(text: string): string[] {
  return text
    .replace(/ \/\* \d+ \*\/$/, "")
    .trimStart()
    .split(/; ?/)
    .filter((command) => command !== "");
}
