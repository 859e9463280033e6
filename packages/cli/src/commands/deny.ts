// `jitdb deny`: says no to somebody's request.

import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { optionText } from "../listing.ts";
import { pickRequest } from "../pick.ts";
import { line } from "../text.ts";

export interface DenyOptions {
  readonly id: string | undefined;
  readonly reason: string;
}

export const denyCommand: CommandModule = {
  define: (command) =>
    command
      .argument("[id]", "the request's id or its beginning; `req_` may be left out")
      .option("--reason <text>", "why; whoever asked will read it")
      .addHelpText("after", '\nExample:\n  jitdb deny 7k2m --reason "use the replica"'),
  run: (context, args, options) => runDeny(context, parseDeny(args, options)),
};

export function parseDeny(args: readonly string[], options: CommandOptions): DenyOptions {
  return { id: args[0], reason: optionText(options, "reason") ?? "" };
}

export async function runDeny(context: Context, { id, reason }: DenyOptions): Promise<void> {
  const asked = await pickRequest(context, id, { scope: "inbox", verb: "deny" });
  const request = await (await context.api()).deny(asked.id, { reason });
  context.terminal.say(line`Denied: ${request.person} does not get ${request.database}.`);
}
