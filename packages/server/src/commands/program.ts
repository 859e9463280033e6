// The command line as a tree of commands. Parsing the arguments happens here and in the commands, errors are shown in main.ts.

import { Command } from "commander";
import { version } from "../version.ts";
import { commands } from "./command-list.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Knows all commands by name, and the one that `args` are for by all that it can do.
 * What is made of them throws commander's CommanderError instead of ending the process.
 */
export async function createProgram(terminal: Terminal, args: readonly string[]): Promise<Command> {
  const program = new Command("jitdb-server")
    .description("Just-in-time database access: the control plane and the gateway.")
    .version(version)
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: (text) => terminal.say(text.trimEnd()),
      // main.ts says it, in the form of every other error.
      outputError: () => undefined,
    });
  const [first, second] = args.filter((arg) => !arg.startsWith("-"));
  const wanted = first === "help" ? second : first;
  for (const { name, summary, load } of commands) {
    const command = program.command(name).description(summary);
    if (name === wanted) {
      const define = await load();
      define(command, terminal);
    }
  }
  return program;
}
