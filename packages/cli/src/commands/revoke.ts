// `jitdb revoke`: ends a grant before its time; its sessions are cut off.

import type { GrantView } from "@jitdb/shared/api/access";
import { JitdbError } from "@jitdb/shared/errors";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { optionText } from "../listing.ts";
import { chooseGrant, matchGrants } from "../pick.ts";
import { clean, line } from "../text.ts";

export interface RevokeOptions {
  /** Id, its beginning, or a database's name. */
  readonly grant: string | undefined;
  readonly reason: string;
}

export const revokeCommand: CommandModule = {
  define: (command) =>
    command
      .argument("[grant]", "the grant's id or its beginning, or the name of a database")
      .option("--reason <text>", "why; whoever held it will read it")
      .addHelpText(
        "after",
        '\nExamples:\n  jitdb revoke prod-orders\n  jitdb revoke 7k2m --reason "the incident is over"',
      ),
  run: (context, args, options) => runRevoke(context, parseRevoke(args, options)),
};

export function parseRevoke(args: readonly string[], options: CommandOptions): RevokeOptions {
  return { grant: args[0], reason: optionText(options, "reason") ?? "" };
}

export async function runRevoke(context: Context, options: RevokeOptions): Promise<void> {
  const { terminal } = context;
  if (options.grant === undefined && !terminal.interactive) {
    throw new JitdbError("usage.invalid", "Which grant? `jitdb revoke` needs its id here.", {
      hint: "Write `jitdb revoke <grant>`; `jitdb grants --all` lists them.",
    });
  }
  const api = await context.api();
  const { grants } = await api.grants({ scope: "all", state: "active", limit: 500 });
  const chosen = await chooseGrant(
    context,
    matching(grants, options.grant),
    "Which grant do you want to end?",
  );
  const grant = await api.revoke(chosen.id, { reason: options.reason });
  const others = grants.filter(
    ({ id, person, database }) =>
      id !== grant.id && person === grant.person && database === grant.database,
  );
  if (others.length === 0) {
    terminal.say(line`Revoked: ${grant.person} has ${grant.database} no longer (${grant.id}).`);
    return;
  }
  terminal.say(
    line`Revoked: ${grant.person}'s ${grant.profile} on ${grant.database} (${grant.id}).`,
  );
  const left = others.map(({ id, profile }) => `${profile} (${id})`).join(", ");
  terminal.say(line`Still live for ${grant.person}: ${left}.`);
}

function matching(grants: readonly GrantView[], given: string | undefined): readonly GrantView[] {
  const found = given === undefined ? grants : matchGrants(grants, given);
  if (found.length === 0) {
    throw new JitdbError(
      "grant.unknown",
      given === undefined ? "No grant is live." : `No live grant is meant by "${clean(given)}".`,
      { hint: "List them with `jitdb grants --all`." },
    );
  }
  return found;
}
