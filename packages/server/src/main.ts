#!/usr/bin/env node
// jitdb-server: runs the command, and is the one place that shows an error and turns it into an exit code.

import { exitCodes, toJitdbError } from "@jitdb/shared/errors";
import { CommanderError } from "commander";
import { createProgram } from "./commands/program.ts";
import { processTerminal } from "./commands/terminal.ts";

const terminal = processTerminal();
try {
  await createProgram(terminal).parseAsync();
} catch (thrown) {
  process.exitCode = report(thrown);
}

function report(thrown: unknown): number {
  if (thrown instanceof CommanderError) {
    // It has said what is wrong; asking for help or the version is no error.
    return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  }
  const error = toJitdbError(thrown);
  terminal.say(`error: ${error.message}`);
  if (error.code === "internal" && error.cause instanceof Error) {
    terminal.say(error.cause.stack ?? error.cause.message);
  }
  terminal.say(`hint: ${error.hint}`);
  return error.forms.exit;
}
