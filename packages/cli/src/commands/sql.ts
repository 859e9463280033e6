// `jitdb sql`: runs SQL without any client program, from the command line, a file, a pipe or a prompt.

import { open } from "node:fs/promises";
import { createInterface } from "node:readline";
import { JitdbError } from "@jitdb/shared/errors";
import { type Agent, endedByPerson, startAgent } from "../agent/agent.ts";
import { tellOfNetwork } from "../agent/network-words.ts";
import { pending } from "../agent/pending.ts";
import { usableGrant } from "../agent/usable-grant.ts";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { optionText } from "../listing.ts";
import { SqlClient } from "../sql/client.ts";
import { createFormat, type FormatName, formatNames } from "../sql/format.ts";
import { Output } from "../sql/output.ts";
import { runPrompt } from "../sql/prompt.ts";
import { Runner } from "../sql/runner.ts";
import { StatementSplitter } from "../sql/statements.ts";
import { clean } from "../text.ts";

export interface SqlOptions {
  readonly database: string | undefined;
  /** Texts of -c, each sent as it is. */
  readonly commands: readonly string[];
  readonly file: string | undefined;
  readonly format: FormatName;
}

/** Exit code when a statement failed. */
const failedStatement = 1;

export const sqlCommand: CommandModule = {
  define: (command) =>
    command
      .argument("[database]", "which one; may be left out where one grant is live")
      .option(
        "-c, --command <sql>",
        "run this; may be repeated",
        (value: string, others: string[]) => [...others, value],
        [],
      )
      .option("-f, --file <path>", "run the statements of a file; - is stdin")
      .option("--format <name>", `how results look: ${formatNames.join(", ")}`, "table")
      .addHelpText(
        "after",
        "\nWithout -c and -f it reads stdin, or asks at a prompt. Results go to stdout, all else to stderr." +
          "\nThe first statement that fails ends it with exit code 1; the prompt goes on." +
          '\ncsv: a heading and a line a row, NULL is nothing, an empty text is "".' +
          "\njson: for each result an array of objects; numeric and large bigint are texts." +
          '\n\nExamples:\n  jitdb sql prod-orders -c "select count(*) from orders"\n  jitdb sql prod-orders --format csv -f report.sql > report.csv',
      ),
  run: (context, args, options) => runSql(context, parseSql(args, options)),
};

/** @throws JitdbError `usage.invalid` for a format that there is none of */
export function parseSql(args: readonly string[], options: CommandOptions): SqlOptions {
  const { command = [] } = options;
  const asked = optionText(options, "format") ?? "table";
  const format = formatNames.find((name) => name === asked);
  if (format === undefined) {
    throw new JitdbError("usage.invalid", `There is no format "${clean(asked)}".`, {
      hint: `Use one of ${formatNames.join(", ")}.`,
    });
  }
  return {
    database: args[0],
    commands: Array.isArray(command) ? command : [],
    file: optionText(options, "file"),
    format,
  };
}

export async function runSql(context: Context, options: SqlOptions): Promise<void> {
  const grant = await usableGrant(context, options.database);
  const farewell = pending<JitdbError>();
  const network = tellOfNetwork((text) => context.terminal.say(text), "its session has ended");
  const agent = await startAgent(context, grant, {
    ...network,
    // A bare cut says nothing that the session's own end does not.
    lost: (error, isKept) =>
      isKept
        ? network.lost(error, isKept)
        : error.code === "tunnel.lost" || farewell.resolve(error),
  });
  try {
    const { person: user, databaseName: database } = grant;
    const client = await SqlClient.open(agent.openStream, { user, database });
    await runOn(context, client, options, database);
    client.close();
  } catch (thrown) {
    throw await explain(context, agent, farewell.promise, thrown);
  } finally {
    agent.close(endedByPerson());
  }
}

async function runOn(
  context: Context,
  client: SqlClient,
  options: SqlOptions,
  name: string,
): Promise<void> {
  const { terminal } = context;
  const format = createFormat(options.format);
  const output = new Output(process.stdout);
  const runner = new Runner({ client, format, output, terminal });
  if (isPrompted(context, options)) {
    const streams = { input: process.stdin, output: process.stderr };
    await runPrompt({ client, runner, terminal, name, ...streams });
    return;
  }
  const interruption = context.interruption();
  const cancel = () => {
    runner.cancel().catch(() => {
      // The session ends with this process anyway.
    });
  };
  interruption.addEventListener("abort", cancel, { once: true });
  for await (const text of textsOf(options)) {
    const isGood = await runner.run(text);
    if (interruption.aborted) {
      throw new JitdbError("local.interrupted", "Interrupted.");
    }
    if (output.isGone) {
      return;
    }
    if (!isGood) {
      context.exitCode = failedStatement;
      return;
    }
  }
}

function isPrompted({ terminal }: Context, { commands, file }: SqlOptions): boolean {
  return terminal.interactive && commands.length === 0 && file === undefined;
}

async function* textsOf({ commands, file }: SqlOptions): AsyncGenerator<string> {
  yield* commands;
  if (commands.length > 0 && file === undefined) {
    return;
  }
  const isStdin = file === undefined || file === "-";
  const lines = isStdin ? createInterface({ input: process.stdin }) : await readLines(file);
  const splitter = new StatementSplitter();
  for await (const typed of lines) {
    yield* splitter.push(typed);
  }
  const rest = splitter.finish();
  if (rest !== "") {
    yield rest;
  }
}

/** The lines of a file. @throws JitdbError `usage.invalid` where it can't be opened */
async function readLines(path: string): Promise<AsyncIterable<string>> {
  const unreadable = (cause?: unknown) =>
    new JitdbError("usage.invalid", `Can't read the file ${clean(path)}.`, {
      hint: "Check the path given with -f.",
      cause,
    });
  const file = await open(path).catch((cause: unknown) => {
    throw unreadable(cause);
  });
  if ((await file.stat()).isDirectory()) {
    await file.close();
    throw unreadable();
  }
  return file.readLines();
}

/** How long to listen for the end of grant or tunnel once a session has ended: the two come in either order. */
const endTimeoutMs = 1500;

/** A session that ended because its grant or its tunnel did says so, whatever the database's last words were. */
async function explain(
  context: Context,
  agent: Agent,
  farewell: Promise<JitdbError>,
  thrown: unknown,
): Promise<unknown> {
  if (!(thrown instanceof JitdbError && /^(database|tunnel)\./.test(thrown.code))) {
    return thrown;
  }
  agent.watch.look();
  const end = await Promise.race([agent.failed, farewell, context.pause(endTimeoutMs)]);
  return end ?? thrown;
}
