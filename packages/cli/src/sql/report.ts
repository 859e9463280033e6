// What the database says about statements, in words on stderr.

import type { ErrorFields } from "@jitdb/shared/postgres/backend";
import type { Terminal } from "../terminal.ts";
import { clean, line, widthOf } from "../text.ts";

/** Characters of a long line that are shown on either side of the error. */
const surroundings = 60;

/** An error of a statement: message and SQLSTATE, where in the text, detail, hint. */
export function sayError(terminal: Terminal, fields: ErrorFields, text: string): void {
  const { message = "", code = "", detail, hint, where } = fields;
  const { style } = terminal;
  terminal.say(`${style.red("error:")} ${line`${message} (${code})`}`);
  for (const shown of locate(text, Number(fields.position))) {
    terminal.say(shown);
  }
  sayParts(terminal, { detail, where });
  if (hint !== undefined) {
    terminal.say(`${style.cyan("hint:")} ${clean(hint)}`);
  }
}

/** A notice or a warning. */
export function sayNotice(terminal: Terminal, fields: ErrorFields): void {
  const { severity = "NOTICE", message = "", detail, hint } = fields;
  terminal.say(line`${severity.toLowerCase()}: ${message}`);
  sayParts(terminal, { detail, hint });
}

function sayParts(terminal: Terminal, parts: Readonly<Record<string, string | undefined>>): void {
  for (const [name, part] of Object.entries(parts)) {
    if (part !== undefined) {
      terminal.say(line`${name}: ${part}`);
    }
  }
}

/** The line of the text that holds the character at `position` (counted from 1), and a mark below it. */
function locate(text: string, position: number): string[] {
  const characters = [...text];
  if (!(position >= 1 && position <= characters.length + 1)) {
    return [];
  }
  const before = characters.slice(0, position - 1).join("");
  const lineNumber = before.split("\n").length;
  const start = before.slice(before.lastIndexOf("\n") + 1);
  const rest =
    characters
      .slice(position - 1)
      .join("")
      .split("\n", 1)[0] ?? "";
  const head = clean(start.length > surroundings ? `…${start.slice(-surroundings)}` : start);
  const tail = clean(rest.length > surroundings ? `${rest.slice(0, surroundings)}…` : rest);
  const label = `LINE ${lineNumber}: `;
  return [`${label}${head}${tail}`, `${" ".repeat(label.length + widthOf(head))}^`];
}
