// jitdb-server users: accounts. The running server does it, through its control socket; where none runs, this process does.

import { JitdbError } from "@jitdb/shared/errors";
import type { Command } from "commander";
import type { Config } from "../config/config.ts";
import { requireConfig } from "../config/load.ts";
import { callControl } from "../control/socket.ts";
import {
  runUserCommand,
  type UserAnswer,
  type UserCommand,
  userCommand,
} from "../control/users.ts";
import { openState, type State } from "../state.ts";
import { systemPorts } from "../system.ts";
import { configOption } from "./options.ts";
import type { Terminal } from "./terminal.ts";

interface UserOptions {
  readonly config: string;
  readonly groups?: readonly string[];
  readonly json?: true;
}

export function addUsers(program: Command, terminal: Terminal): void {
  const users = program.command("users").description("manage the accounts of people");
  const run = (command: object, options: UserOptions) => manage(command, options, terminal);

  users
    .command("list")
    .description("list everybody")
    .addOption(configOption())
    .option("--json", "print JSON")
    .action((options: UserOptions) => run({ do: "list" }, options));
  users
    .command("add <name>")
    .description("add a person and print the link with which they choose a password")
    .addOption(configOption())
    .option("--groups <groups...>", "their groups; members of admins administer the server")
    .action((name: string, options: UserOptions) =>
      run({ do: "add", name, groups: options.groups ?? [] }, options),
    );
  users
    .command("groups <name> [groups...]")
    .description("replace a person's groups")
    .addOption(configOption())
    .action((name: string, groups: string[], options: UserOptions) =>
      run({ do: "groups", name, groups }, options),
    );
  for (const [action, description] of [
    ["disable", "end a person's logins and sessions and let them start no other"],
    ["enable", "let a disabled person log in again"],
    ["setup-link", "make a new link with which a person chooses a password"],
  ] as const) {
    users
      .command(`${action} <name>`)
      .description(description)
      .addOption(configOption())
      .action((name: string, options: UserOptions) => run({ do: action, name }, options));
  }
}

async function manage(command: object, options: UserOptions, terminal: Terminal): Promise<void> {
  const checked = userCommand.safeParse(command);
  if (!checked.success) {
    const [issue] = checked.error.issues;
    throw new JitdbError("usage.invalid", `${issue?.path[0]?.toString()}: ${issue?.message}.`, {
      hint: "See `jitdb-server users --help`.",
    });
  }
  const { config } = requireConfig(options.config);
  const answer = await execute(config, checked.data);
  show(checked.data, answer, options, terminal);
}

/** Opening the store decides who does it: either this process gets it, or a server has it and listens. */
async function execute(config: Config, command: UserCommand): Promise<UserAnswer> {
  let state: State;
  try {
    state = await openState(config, { ...systemPorts(), address: "no address (a users command)" });
  } catch (error) {
    const answer = isHeld(error) ? await callControl(config.dataFolder, command) : undefined;
    if (answer === undefined) {
      throw error;
    }
    return answer;
  }
  try {
    return await runUserCommand(state.people, config.publicUrl, command);
  } finally {
    await state.close();
  }
}

function isHeld(error: unknown): boolean {
  return error instanceof JitdbError && error.code === "store.held";
}

function show(
  command: UserCommand,
  { people, link }: UserAnswer,
  options: UserOptions,
  terminal: Terminal,
): void {
  if (command.do === "list" && options.json) {
    terminal.print(JSON.stringify(people));
    return;
  }
  const widest = Math.max(...people.map((person) => person.name.length), 0);
  for (const { name, groups, disabled, hasPassword } of people) {
    const state = disabled ? "disabled" : hasPassword ? "active" : "invited";
    const line = `${name.padEnd(widest)}  ${state.padEnd(8)}  ${groups.join(", ")}`.trimEnd();
    if (command.do === "list") {
      terminal.print(line);
    } else {
      terminal.say(line);
    }
  }
  if (link !== undefined) {
    terminal.say(`They choose a password here, until ${link.expiresAt}:`);
    terminal.print(link.url);
  }
}
