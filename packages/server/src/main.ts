#!/usr/bin/env node
// jitdb-server: runs the command, and is the one place that shows an error and turns it into an exit code.

import { exitCodes, JitdbError, toJitdbError } from "@jitdb/shared/errors";
import { CommanderError } from "commander";
import { createProgram } from "./commands/program.ts";
import { processTerminal } from "./commands/terminal.ts";

const terminal = processTerminal();
try {
  const args = process.argv.slice(2);
  const program = await createProgram(terminal, args);
  await program.parseAsync(args, { from: "user" });
} catch (thrown) {
  process.exitCode = report(thrown);
}

function report(thrown: unknown): number {
  if (thrown instanceof CommanderError && isAnswered(thrown)) {
    return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  }
  const error = thrown instanceof CommanderError ? fromCommander(thrown) : toJitdbError(thrown);
  terminal.say(`error: ${error.message}`);
  if (error.code === "internal" && error.cause instanceof Error) {
    terminal.say(error.cause.stack ?? error.cause.message);
  }
  terminal.say(`hint: ${error.hint}`);
  return error.forms.exit;
}

/** Help or version were asked for, or the help stands in for a missing command: all is said. */
function isAnswered({ exitCode, code }: CommanderError): boolean {
  return exitCode === 0 || code === "commander.help";
}

/** Commander's complaint as one of ours; its second line, `(Did you mean …?)`, becomes the hint. */
function fromCommander({ message }: CommanderError): JitdbError {
  const [first = "", suggestion] = message.split("\n");
  const text = first.replace(/^error: /, "").replace(/\.?$/, ".");
  const hint = suggestion?.replace(/^\((.*)\)$/, "$1") ?? "See `jitdb-server --help`.";
  return new JitdbError("usage.invalid", text.charAt(0).toUpperCase() + text.slice(1), { hint });
}
