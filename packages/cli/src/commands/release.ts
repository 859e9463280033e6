// `jitdb release`: gives a grant of one's own back before its time.

import type { CommandModule } from "../command-list.ts";
import type { Context } from "../context.ts";
import { pickGrant } from "../pick.ts";
import { line } from "../text.ts";

export const releaseCommand: CommandModule = {
  define: (command) =>
    command
      .argument("[grant]", "the database, or the grant's id or its beginning")
      .addHelpText(
        "after",
        "\nIts sessions end at once, and what is left of the time no longer counts.\n\nExample:\n  jitdb release prod-orders",
      ),
  run: (context, args) => runRelease(context, args[0]),
};

export async function runRelease(context: Context, given: string | undefined): Promise<void> {
  const picked = await pickGrant(context, given);
  const grant = await (await context.api()).release(picked.id);
  context.terminal.say(line`Given back: ${grant.database} (${grant.id}).`);
}
