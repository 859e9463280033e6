// jitdb-server users: the accounts of people.

import { nearest } from "@jitdb/shared/nearest";
import type { Command } from "commander";
import { isNamed, namedGroups } from "../access/policies/named-groups.ts";
import { requireConfig } from "../config/load.ts";
import { type UserAnswer, type UserCommand, userAnswer, userCommand } from "../control/users.ts";
import { checkCommand, runOnConsole } from "./console.ts";
import { configOption } from "./options.ts";
import type { Terminal } from "./terminal.ts";

interface UserOptions {
  readonly config: string;
  readonly groups?: readonly string[];
  readonly through?: string;
  readonly json?: true;
}

const throughWhom =
  "who brings them into the groups, and so never approves what these let them ask";

export function defineUsers(users: Command, terminal: Terminal): void {
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
    .option("--through <name>", throughWhom)
    .action((name: string, options: UserOptions) =>
      run({ do: "add", name, groups: options.groups ?? [], through: options.through }, options),
    );
  users
    .command("groups <name> [groups...]")
    .description("replace a person's groups; those that the company gave stay")
    .addOption(configOption())
    .option("--through <name>", throughWhom)
    .action((name: string, groups: string[], options: UserOptions) =>
      run({ do: "groups", name, groups, through: options.through }, options),
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
  const checked = checkCommand(userCommand, command, "jitdb-server users --help");
  const answer = await runOnConsole(options.config, { users: checked }, userAnswer);
  show(checked, answer, options, terminal);
  if (checked.do === "add" || checked.do === "groups") {
    warnOfGroups(checked.groups, options, terminal);
  }
}

function warnOfGroups(groups: readonly string[], options: UserOptions, terminal: Terminal): void {
  const { policies } = requireConfig(options.config).config;
  // Where there are none yet, nothing is a slip.
  const strange = policies.length === 0 ? [] : groups.filter((group) => !isNamed(policies, group));
  for (const group of strange) {
    const meant = nearest(group, namedGroups(policies));
    const guess = meant === undefined ? "" : ` Did you mean ${meant}?`;
    terminal.say(`No policy names the group ${group}.${guess}`);
  }
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
  for (const person of people) {
    const { name, groups, companyGroups } = person;
    const shown = groups.map((group) => (companyGroups.includes(group) ? `${group}*` : group));
    const line =
      `${name.padEnd(widest)}  ${stateOf(person).padEnd(8)}  ${shown.join(", ")}`.trimEnd();
    if (command.do === "list") {
      terminal.print(line);
    } else {
      terminal.say(line);
    }
  }
  if (people.some(({ companyGroups }) => companyGroups.length > 0)) {
    terminal.say("* from the company, which alone takes it back, at the person's next login");
  }
  if (link !== undefined) {
    terminal.say(`They choose a password here, until ${link.expiresAt}:`);
    terminal.print(link.url);
  }
}

function stateOf({
  disabled,
  hasPassword,
  company,
  service,
}: UserAnswer["people"][number]): string {
  if (disabled) {
    return "disabled";
  }
  if (service) {
    return "service";
  }
  return hasPassword || company ? "active" : "invited";
}
