// `jitdb withdraw`: takes back a request of one's own while it waits.

import type { CommandModule } from "../command-list.ts";
import type { Context } from "../context.ts";
import { pickRequest } from "../pick.ts";
import { line } from "../text.ts";

export interface WithdrawOptions {
  readonly id: string | undefined;
}

export const withdrawCommand: CommandModule = {
  define: (command) =>
    command
      .argument("[id]", "the request's id or its beginning")
      .addHelpText("after", "\nExample:\n  jitdb withdraw 7k2m"),
  run: (context, args) => runWithdraw(context, { id: args[0] }),
};

export async function runWithdraw(context: Context, { id }: WithdrawOptions): Promise<void> {
  const picked = await pickRequest(context, id, { scope: "mine", verb: "withdraw" });
  const request = await (await context.api()).withdraw(picked.id);
  context.terminal.say(line`Withdrew the request for ${request.database} (${request.id}).`);
}
