// PostgreSQL's own log as the oracle of what ran. Needs `loggingSettings`.

/** Every statement with its role in front, and nothing else there. */
export const loggingSettings = { log_statement: "all", log_line_prefix: "%u " } as const;

/**
 * Texts of the statements that roles with such names ran, in order; lines of long ones are put together again.
 * PostgreSQL logs a statement before it runs it, so the log holds whatever has run.
 */
export function statementsInLog(log: string, role: RegExp): string[] {
  // A line of a message that is not its first begins with a tab.
  return log
    .replaceAll("\n\t", "\v")
    .split("\n")
    .flatMap((line) => {
      const [, user = "", text] =
        /^(\S+) LOG: {2}(?:statement|(?:execute|execute fetch from) [^:]*): (.*)$/.exec(line) ?? [];
      return text !== undefined && role.test(user) ? [text.replaceAll("\v", "\n")] : [];
    });
}
