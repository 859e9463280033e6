// `jitdb extend`: more time for a live grant, as its rule allows.

import { formatDuration, parseDuration } from "@jitdb/shared/duration";
import { JitdbError } from "@jitdb/shared/errors";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { optionText } from "../listing.ts";
import { pickGrant } from "../pick.ts";
import { line, relative } from "../text.ts";

export interface ExtendOptions {
  /** A database's name, or a grant's id or its beginning. */
  readonly grant: string | undefined;
  readonly durationSeconds: number | undefined;
  readonly reason: string;
}

export const extendCommand: CommandModule = {
  define: (command) =>
    command
      .argument("[grant]", "the database, or the grant's id or its beginning")
      .option("--by <duration>", "how much more; the rule's own measure if it is left out")
      .option("--reason <text>", "why; approvers and the audit will read it")
      .addHelpText(
        "after",
        "\nOpen sessions go on; nothing has to be started again.\n\nExample:\n  jitdb extend prod-orders --by 15m",
      ),
  run: (context, args, options) => runExtend(context, parseExtend(args, options)),
};

/** @throws JitdbError `usage.duration` */
export function parseExtend(args: readonly string[], options: CommandOptions): ExtendOptions {
  const duration = optionText(options, "by");
  return {
    grant: args[0],
    durationSeconds: duration === undefined ? undefined : parseDuration(duration) / 1000,
    reason: optionText(options, "reason") ?? "",
  };
}

export async function runExtend(context: Context, options: ExtendOptions): Promise<void> {
  const { terminal } = context;
  const picked = await pickGrant(context, options.grant);
  if (picked.state === "ended") {
    throw new JitdbError("grant.expired", line`The grant ${picked.id} has ended.`);
  }
  const api = await context.api();
  const request = await api.extend(picked.id, {
    durationSeconds: options.durationSeconds,
    reason: options.reason,
    // What this person saw: sent twice, it counts once.
    endsAt: picked.endsAt,
  });
  const duration = formatDuration(request.durationSeconds * 1000);
  if (request.state === "approved") {
    const { endsAt } = await api.grant(picked.id);
    const ends = relative(endsAt, context.clock.now());
    terminal.say(line`Extended by ${duration}: ${picked.database} ends ${ends}.`);
    return;
  }
  const groups = request.approvals.groups.join(" or ");
  terminal.say(
    line`Asked for ${duration} more on ${picked.database}; it waits for approval by ${groups} until the grant ends.`,
  );
  terminal.out(request.id);
}
