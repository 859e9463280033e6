// Builds the program out of the list of commands, and holds the one catch that prints an error and chooses the exit code.
// Knows nothing of what a command does; loads nothing that `jitdb --version` does not need.

import { exitCodes, JitdbError } from "@jitdb/shared/errors";
import { Command, CommanderError, type OutputConfiguration } from "commander";
import { type CommandModule, commands } from "./command-list.ts";
import type { Context, ContextOptions } from "./context.ts";

/** Set by the bundler; a run from source has none. */
declare const JITDB_VERSION: string | undefined;
const version = typeof JITDB_VERSION === "undefined" ? "0.0.0-source" : JITDB_VERSION;

export type OpenContext = (options: ContextOptions) => Promise<Context>;

async function openRealContext(options: ContextOptions): Promise<Context> {
  return (await import("./context.ts")).createContext(options);
}

/**
 * Runs one command line (without node and script) to its end and gives the exit code.
 * Everything thrown ends here; tests pass a context of their own.
 */
export async function run(
  argv: readonly string[],
  openContext: OpenContext = openRealContext,
): Promise<number> {
  const opened: { context?: Context } = {};
  const context = async (options: ContextOptions = {}) => {
    opened.context ??= await openContext(options);
    return opened.context;
  };
  try {
    const program = createProgram(context);
    if (argv.length === 0) {
      program.outputHelp();
      await (await import("./commands/help.ts")).sayNextStep(await context());
      return exitCodes.ok;
    }
    await program.parseAsync(argv, { from: "user" });
    return opened.context?.exitCode ?? exitCodes.ok;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) {
      return exitCodes.ok;
    }
    const error =
      thrown instanceof CommanderError ? fromCommander(thrown, argv) : toKnownError(thrown);
    (await context()).terminal.error(error, { json: asksForJson(argv) });
    return error.forms.exit;
  } finally {
    await opened.context?.close();
  }
}

/** The help of a command, or of the program, in lines of 80 cells. @throws JitdbError `usage.invalid` */
export async function describeCommand(name?: string): Promise<string> {
  const output: string[] = [];
  const program = createProgram(() => Promise.reject(new Error("Help needs no context.")), {
    writeOut: (text) => output.push(text),
    getOutHelpWidth: () => 80,
    getOutHasColors: () => false,
  });
  await showHelp(program, name);
  return output.join("");
}

function createProgram(openContext: OpenContext, output: OutputConfiguration = {}): Command {
  const program = new Command("jitdb")
    .description("Just-in-time database access: request, approve, connect.")
    .usage("<command> [options]")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .helpCommand(false)
    .option("--server <address>", "the server to talk to (or JITDB_SERVER)")
    .option("--ca <file>", "PEM file of a CA to trust as well (or JITDB_CA_FILE)")
    .configureOutput({ outputError: () => undefined, ...output })
    .showSuggestionAfterError()
    .exitOverride()
    .addHelpText(
      "after",
      "\nExamples:" +
        "\n  jitdb login https://jitdb.example.com" +
        '\n  jitdb request prod-orders --for 30m --reason "order 4711 is stuck"' +
        "\n  jitdb psql prod-orders" +
        "\n\nMore: `jitdb help <command>`, `jitdb help exit-codes`, `jitdb help environment`.",
    );
  for (const entry of commands) {
    program
      .command(entry.name)
      .summary(entry.summary)
      .description(`${sentence(entry.summary)}.`);
  }
  program
    .command("help")
    .summary("show help for a command")
    .description("Show help for a command, the exit codes or the environment variables.")
    .argument("[topic]", "a command, `exit-codes` or `environment`")
    .action(async (topic: string | undefined) => {
      const { topics } = await import("./commands/help.ts");
      const describe = topic === undefined ? undefined : topics[topic];
      if (describe === undefined) {
        await showHelp(program, topic);
      } else {
        describe((await openContext({})).terminal);
      }
    });
  program.hook("preSubcommand", async (_program, command) => {
    const module = await completeCommand(command);
    if (module !== undefined) {
      command.action(async () => {
        const { server, ca } = program.opts<{ server?: string; ca?: string }>();
        const context = await openContext({ server, caFile: ca });
        await module.run(context, command.args, command.opts());
      });
    }
  });
  return program;
}

/** Loads the file of a command, and fills in its arguments, options and examples; `help` has them already. */
async function completeCommand(command: Command): Promise<CommandModule | undefined> {
  const entry = commands.find(({ name }) => name === command.name());
  const module = await entry?.load();
  module?.define(command);
  return module;
}

async function showHelp(program: Command, topic: string | undefined): Promise<void> {
  if (topic === undefined) {
    program.outputHelp();
    return;
  }
  const command = program.commands.find((each) => each.name() === topic);
  if (command === undefined) {
    throw new JitdbError("usage.invalid", `There is no help for "${topic}".`);
  }
  await completeCommand(command);
  command.outputHelp();
}

/** Commander's complaint as one of ours; its second line, `(Did you mean …?)`, becomes the hint, else the command's help. */
function fromCommander(error: CommanderError, argv: readonly string[]): JitdbError {
  const [first = "", suggestion] = error.message.split("\n");
  const message = sentence(first.replace(/^error: /, ""));
  const command = commands.find(({ name }) => argv.includes(name));
  const help = `See \`jitdb ${command === undefined ? "" : `${command.name} `}--help\`.`;
  const hint = suggestion?.replace(/^\((.*)\)$/, "$1") ?? help;
  return new JitdbError("usage.invalid", message.endsWith(".") ? message : `${message}.`, { hint });
}

/** A bug of ours: its message is all that a report could go by. Secrets redact themselves. */
function toKnownError(thrown: unknown): JitdbError {
  if (thrown instanceof JitdbError) {
    return thrown;
  }
  const hint = "Please report this, with the command that you ran.";
  return new JitdbError("internal", `jitdb failed: ${String(thrown)}`, { hint, cause: thrown });
}

function sentence(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function asksForJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return argv.slice(0, end === -1 ? argv.length : end).includes("--json");
}
