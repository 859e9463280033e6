// `jitdb grants`: one's live grants, or everybody's with those that have ended.

import type { GrantView } from "@jitdb/shared/api/access";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { addPageOptions, type Page, parsePage, sayMore } from "../listing.ts";
import type { Column } from "../table.ts";
import { relative } from "../text.ts";

export interface GrantsOptions {
  readonly all: boolean;
  readonly page: Page;
  readonly json: boolean;
}

export const grantsCommand: CommandModule = {
  define: (command) =>
    addPageOptions(
      command.option("--all", "everybody's that you may see, ended ones too"),
    ).addHelpText("after", "\nExample:\n  jitdb grants --json | jq -r '.grants[].endsAt'"),
  run: (context, args, options) => runGrants(context, parseGrants(args, options)),
};

/** @throws JitdbError `usage.invalid` */
export function parseGrants(_args: readonly string[], options: CommandOptions): GrantsOptions {
  return {
    all: options["all"] === true,
    page: parsePage(options),
    json: options["json"] === true,
  };
}

export async function runGrants(context: Context, options: GrantsOptions): Promise<void> {
  const { terminal } = context;
  const which = options.all
    ? ({ scope: "all" } as const)
    : ({ scope: "mine", state: "active" } as const);
  const list = await (await context.api()).grants({ ...which, ...options.page });
  if (options.json) {
    terminal.json(list);
    return;
  }
  if (list.grants.length === 0) {
    terminal.say(options.all ? "There are no grants yet." : await describeNone(context));
    return;
  }
  terminal.table(grantColumns(context.clock.now()), list.grants);
  sayMore(terminal, list.next);
}

async function describeNone(context: Context): Promise<string> {
  const { grants } = await (await context.api()).grants({ scope: "all", limit: 1 });
  return grants.length === 0
    ? "You have no live grant. Ask with `jitdb request <database> --for 30m`."
    : "You have no live grant. See ended ones, and those of others, with `jitdb grants --all`.";
}

function grantColumns(now: number): Column<GrantView>[] {
  return [
    { heading: "ID", show: (grant) => grant.id },
    { heading: "WHO", show: (grant) => grant.person },
    { heading: "DATABASE", show: (grant) => grant.database },
    { heading: "PROFILE", spare: true, show: (grant) => grant.profile },
    { heading: "STATE", show: stateOf },
    {
      heading: "ENDS",
      show: (grant) => relative(grant.endedAt ?? grant.endsAt, now),
      plain: (grant) => grant.endedAt ?? grant.endsAt,
    },
    { heading: "USER", spare: true, show: (grant) => grant.user },
    { heading: "SESSIONS", spare: true, show: (grant) => String(grant.openSessions) },
    { heading: "PROBLEM", show: (grant) => grant.userProblem ?? "" },
  ];
}

function stateOf({ drainingUntil, end, state }: GrantView): string {
  return drainingUntil === null ? (end ?? state) : "draining";
}
