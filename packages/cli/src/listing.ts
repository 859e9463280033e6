// What all commands that list have in common: `--json`, `--limit`, `--after`, and the word about what was left out.

import { JitdbError } from "@jitdb/shared/errors";
import type { Command } from "commander";
import type { CommandOptions } from "./command-list.ts";
import type { Terminal } from "./terminal.ts";
import { clean, line } from "./text.ts";

export interface Page {
  readonly limit: number;
  readonly after?: string;
}

/** Of records on one page; the server gives no more. */
export const maxLimit = 500;

export function addJsonOption(command: Command): Command {
  return command.option("--json", "print one JSON document on stdout, in the API's form");
}

export function addPageOptions(command: Command): Command {
  return addJsonOption(command)
    .option("--limit <number>", `show at most so many, up to ${maxLimit}`, "50")
    .option("--after <cursor>", "go on where the page before ended (its `next`)");
}

/** @throws JitdbError `usage.invalid` for a limit outside 1…500. */
export function parsePage(options: CommandOptions): Page {
  const text = optionText(options, "limit") ?? "50";
  const limit = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > maxLimit) {
    throw new JitdbError("usage.invalid", `--limit takes 1 to ${maxLimit}, not "${clean(text)}".`, {
      hint: `Write it like --limit ${maxLimit}.`,
    });
  }
  const after = optionText(options, "after");
  return after === undefined ? { limit } : { limit, after };
}

/** The value of an option that takes one. */
export function optionText(options: CommandOptions, name: string): string | undefined {
  const value = options[name];
  return typeof value === "string" ? value : undefined;
}

/** Tells on stderr that a list goes on. */
export function sayMore(terminal: Terminal, next: string | null): void {
  if (next !== null) {
    terminal.say(line`There is more: add --after ${next}, or a larger --limit.`);
  }
}
