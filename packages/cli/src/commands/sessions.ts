// `jitdb sessions`: open database sessions of one's own, or everybody's with those that are over.

import type { SessionView } from "@jitdb/shared/api/audit";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { addPageOptions, optionText, type Page, parsePage, sayMore } from "../listing.ts";
import type { Column } from "../table.ts";
import { relative } from "../text.ts";

export interface SessionsOptions {
  readonly all: boolean;
  readonly grant: string | undefined;
  readonly page: Page;
  readonly json: boolean;
}

export const sessionsCommand: CommandModule = {
  define: (command) =>
    addPageOptions(
      command
        .option("--all", "everybody's that you may see, closed ones too")
        .option("--grant <id>", "those of one grant"),
    ).addHelpText("after", "\nExample:\n  jitdb sessions --all --limit 10"),
  run: (context, args, options) => runSessions(context, parseSessions(args, options)),
};

/** @throws JitdbError `usage.invalid` */
export function parseSessions(_args: readonly string[], options: CommandOptions): SessionsOptions {
  return {
    all: options["all"] === true,
    grant: optionText(options, "grant"),
    page: parsePage(options),
    json: options["json"] === true,
  };
}

export async function runSessions(context: Context, options: SessionsOptions): Promise<void> {
  const { terminal } = context;
  const which = options.all
    ? ({ scope: "all" } as const)
    : ({ scope: "mine", open: true } as const);
  const list = await (await context.api()).sessions({
    ...which,
    grant: options.grant,
    ...options.page,
  });
  if (options.json) {
    terminal.json(list);
    return;
  }
  if (list.sessions.length === 0) {
    terminal.say(options.all ? "There are no sessions yet." : await describeNone(context));
    return;
  }
  terminal.table(sessionColumns(context.clock.now()), list.sessions);
  sayMore(terminal, list.next);
}

async function describeNone(context: Context): Promise<string> {
  const { sessions } = await (await context.api()).sessions({ scope: "all", limit: 1 });
  return sessions.length === 0
    ? "You have no open session. Open one with `jitdb psql <database>` or `jitdb connect`."
    : "You have no open session. See closed ones, and those of others, with `jitdb sessions --all`.";
}

function sessionColumns(now: number): Column<SessionView>[] {
  return [
    { heading: "ID", show: (session) => session.id },
    { heading: "WHO", show: (session) => session.person },
    { heading: "DATABASE", show: (session) => session.database },
    { heading: "PROFILE", spare: true, show: (session) => session.profile },
    {
      heading: "OPENED",
      show: (session) => relative(session.openedAt, now),
      plain: (session) => session.openedAt,
    },
    { heading: "STATEMENTS", spare: true, show: (session) => String(session.statements) },
    {
      heading: "STATE",
      show: (session) => stateOf(session).replaceAll("_", " "),
      plain: stateOf,
    },
    { heading: "MARK", show: ({ breakGlass }) => (breakGlass ? "break-glass" : "") },
    { heading: "FROM", spare: true, show: (session) => session.address },
    { heading: "APPLICATION", spare: true, show: (session) => session.application },
  ];
}

/** `parked`: the agent has lost the network, and the server keeps the session for it. */
function stateOf({ closedAt, end, parked }: SessionView): string {
  const open = parked ? "parked" : "open";
  return closedAt === null ? open : (end ?? "closed");
}
