// `jitdb psql`: runs psql on a database, over a socket that only this process and its psql know.

import { randomBytes } from "node:crypto";
import { constants } from "node:os";
import { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";
import { execa } from "execa";
import { addressesOf } from "../agent/addresses.ts";
import { endedByPerson, type ListeningAgent, openPrivateDoor, startAgent } from "../agent/agent.ts";
import { tellOfNetwork } from "../agent/network-words.ts";
import { usableGrant } from "../agent/usable-grant.ts";
import type { CommandModule } from "../command-list.ts";
import type { Context } from "../context.ts";
import { isWindows } from "../platform.ts";
import { line, roughly } from "../text.ts";

export interface PsqlOptions {
  readonly database: string | undefined;
  /** psql's own arguments. */
  readonly args: readonly string[];
}

export const psqlCommand: CommandModule = {
  define: (command) =>
    command
      .argument("[database]", "which one; may be left out where one grant is live")
      .argument("[args...]", "psql's own; those that jitdb has, too (-h, -V), behind --")
      .allowUnknownOption()
      .addHelpText(
        "after",
        "\nEnds with psql's exit code." +
          '\n\nExamples:\n  jitdb psql prod-orders\n  jitdb psql prod-orders -c "select 1"\n  jitdb psql -f report.sql\n  jitdb psql prod-orders -- --version',
      ),
  run: (context, args) => runPsql(context, parsePsql(args)),
};

/** No name of a database begins with a dash: what does is psql's. */
export function parsePsql(args: readonly string[]): PsqlOptions {
  const [first, ...others] = args;
  return first === undefined || first.startsWith("-")
    ? { database: undefined, args }
    : { database: first, args: others };
}

/** Variables of the shell that would send psql elsewhere, or make it ask for what a private socket has no use for. */
const strayVariables = [
  "PGHOSTADDR",
  "PGSERVICE",
  "PGPASSWORD",
  "PGSSLMODE",
  "PGSSLNEGOTIATION",
  "PGGSSENCMODE",
  "PGREQUIREAUTH",
  "PGCHANNELBINDING",
  "PGREQUIREPEER",
  "PGREQUIRESSL",
];

export async function runPsql(context: Context, options: PsqlOptions): Promise<void> {
  const { terminal } = context;
  if (isWindows) {
    throw new JitdbError("local.client_missing", "`jitdb psql` needs Unix sockets.", {
      hint: "Use `jitdb connect` and psql beside it, or `jitdb sql`.",
    });
  }
  const grant = await usableGrant(context, options.database);
  const network = tellOfNetwork(
    (text) => terminal.say(text),
    "its session has ended: reconnect with \\c",
  );
  const agent = await startAgent(context, grant, network);
  let doors: ListeningAgent;
  try {
    // The socket asks for no password, and there is no other door: this one is never used.
    const unused = new Secret(randomBytes(24).toString("base64url"));
    doors = await openPrivateDoor(context, agent, unused);
  } catch (error) {
    agent.close(endedByPerson());
    throw error;
  }
  terminal.say(line`${grant.database} (${grant.profile}), ${roughly(doors.watch.leftMs)} left`);
  try {
    context.exitCode = await runClient(doors, options.args);
  } finally {
    await doors.shut(endedByPerson());
  }
}

async function runClient(doors: ListeningAgent, args: readonly string[]): Promise<number> {
  const { socket, port, database, user } = addressesOf(doors.listener, doors.watch.grant);
  const child = execa("psql", args, {
    stdio: "inherit",
    reject: false,
    env: {
      ...Object.fromEntries(strayVariables.map((name) => [name, undefined])),
      PGHOST: socket ?? undefined,
      PGPORT: String(port),
      PGDATABASE: database,
      PGUSER: user,
    },
  });
  // Ctrl-C reaches both; it is psql's, which cancels the statement. What ends us ends psql first.
  const ignore = () => undefined;
  const passOn = () => child.kill("SIGTERM");
  process.on("SIGINT", ignore);
  process.on("SIGTERM", passOn);
  try {
    const { exitCode, signal, code } = await child;
    if (code === "ENOENT") {
      throw new JitdbError("local.client_missing", "psql is not installed, or not on the PATH.", {
        hint: `Install it (Debian: apt install postgresql-client), or use \`jitdb sql ${doors.watch.grant.database}\`.`,
      });
    }
    return exitCode ?? 128 + (signal === undefined ? 0 : constants.signals[signal]);
  } finally {
    process.off("SIGINT", ignore);
    process.off("SIGTERM", passOn);
  }
}
