// `jitdb requests`: one's own requests, those that wait for one's decision, or all.

import type { RequestView } from "@jitdb/shared/api/access";
import { formatDuration } from "@jitdb/shared/duration";
import { JitdbError } from "@jitdb/shared/errors";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { addPageOptions, type Page, parsePage, sayMore } from "../listing.ts";
import type { Column } from "../table.ts";
import { relative } from "../text.ts";

export interface RequestsOptions {
  readonly scope: "mine" | "inbox" | "all";
  readonly page: Page;
  readonly json: boolean;
}

export const requestsCommand: CommandModule = {
  define: (command) =>
    addPageOptions(
      command
        .option("--inbox", "those that wait for your decision")
        .option("--all", "everybody's that you may see"),
    ).addHelpText("after", "\nExample:\n  jitdb requests --inbox"),
  run: (context, args, options) => runRequests(context, parseRequests(args, options)),
};

/** @throws JitdbError `usage.invalid` */
export function parseRequests(_args: readonly string[], options: CommandOptions): RequestsOptions {
  const inbox = options["inbox"] === true;
  const all = options["all"] === true;
  if (inbox && all) {
    throw new JitdbError("usage.invalid", "--inbox and --all exclude each other.", {
      hint: "Take one of them.",
    });
  }
  return {
    scope: inbox ? "inbox" : all ? "all" : "mine",
    page: parsePage(options),
    json: options["json"] === true,
  };
}

export async function runRequests(context: Context, options: RequestsOptions): Promise<void> {
  const { terminal } = context;
  const list = await (await context.api()).requests({ scope: options.scope, ...options.page });
  if (options.json) {
    terminal.json(list);
    return;
  }
  if (list.requests.length === 0) {
    terminal.say(await describeNone(context, options.scope));
    return;
  }
  terminal.table(requestColumns(context.clock.now()), list.requests);
  sayMore(terminal, list.next);
}

const nothing: Readonly<Record<RequestsOptions["scope"], string>> = {
  mine: "You have asked for nothing yet.",
  inbox: "No request waits for your decision.",
  all: "There are no requests yet.",
};

async function describeNone(context: Context, scope: RequestsOptions["scope"]): Promise<string> {
  if (scope === "all") {
    return nothing.all;
  }
  const { requests } = await (await context.api()).requests({ scope: "all", limit: 1 });
  if (requests.length > 0) {
    return `${nothing[scope]} See the others with \`jitdb requests --all\`.`;
  }
  const ask = "Ask with `jitdb request <database> --for 30m`.";
  return scope === "mine" ? `${nothing.mine} ${ask}` : nothing.inbox;
}

export function requestColumns(now: number): Column<RequestView>[] {
  return [
    { heading: "ID", show: (request) => request.id },
    { heading: "STATE", show: (request) => request.state },
    { heading: "WHO", show: (request) => request.person },
    { heading: "DATABASE", show: (request) => request.database },
    { heading: "PROFILE", spare: true, show: (request) => request.profile },
    { heading: "FOR", show: (request) => formatDuration(request.durationSeconds * 1000) },
    {
      heading: "ASKED",
      spare: true,
      show: (request) => relative(request.createdAt, now),
      plain: (request) => request.createdAt,
    },
    {
      heading: "DEVICE",
      spare: true,
      show: ({ device }) => (device.confirmed ? device.label : `${device.label}, new`),
    },
    { heading: "REASON", show: (request) => request.reason },
    { heading: "KIND", show: kindOf },
  ];
}

/** What is unusual about it; empty for most. */
function kindOf({ breakGlass, extendsGrant, startsAt }: RequestView): string {
  if (breakGlass) {
    return "break-glass";
  }
  if (extendsGrant !== null) {
    return "more time";
  }
  return startsAt === null ? "" : `begins ${startsAt}`;
}
