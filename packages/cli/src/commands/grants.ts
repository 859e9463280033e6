// `jitdb grants`: one's live grants, or everybody's; all about one of them; and signing what it left behind.

import type { GrantView } from "@jitdb/shared/api/access";
import { JitdbError } from "@jitdb/shared/errors";
import { Argument } from "commander";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { describeGrant, describeTraces } from "../grants/detail.ts";
import { addPageOptions, optionText, type Page, parsePage, sayMore } from "../listing.ts";
import { chooseGrant, resolveId } from "../pick.ts";
import type { Column } from "../table.ts";
import { line, relative } from "../text.ts";

const actions = ["show", "sign"] as const;

export type GrantsOptions =
  | {
      readonly action: "list";
      readonly all: boolean;
      readonly openTraces: boolean;
      readonly page: Page;
      readonly json: boolean;
    }
  | {
      readonly action: (typeof actions)[number];
      /** Id or its beginning. */
      readonly grant: string | undefined;
      readonly comment: string;
      readonly json: boolean;
    };

export const grantsCommand: CommandModule = {
  define: (command) =>
    addPageOptions(
      command
        .addArgument(new Argument("[action]", "without one they are listed").choices(actions))
        .argument("[grant]", "the grant's id or its beginning; `grt_` may be left out")
        .option("--all", "everybody's that you may see, ended ones too")
        .option("--open-traces", "those that left something which nobody has signed")
        .option("--comment <text>", "goes on record beside the signature"),
    ).addHelpText(
      "after",
      "\nWhat a grant leaves behind in its database is listed when it has ended, and stays open until somebody who may\napprove such grants, and is not its person, has looked at it and signs.\n\nExamples:\n  jitdb grants --json | jq -r '.grants[].endsAt'\n  jitdb grants --open-traces\n  jitdb grants show 7k2m\n  jitdb grants sign 7k2m --comment \"dropped app.scratch\"",
    ),
  run: (context, args, options) => runGrants(context, parseGrants(args, options)),
};

/** @throws JitdbError `usage.invalid` */
export function parseGrants(
  [given, grant]: readonly string[],
  options: CommandOptions,
): GrantsOptions {
  const json = options["json"] === true;
  const action = actions.find((each) => each === given);
  if (action !== undefined) {
    return { action, grant, comment: optionText(options, "comment") ?? "", json };
  }
  return {
    action: "list",
    all: options["all"] === true,
    openTraces: options["openTraces"] === true,
    page: parsePage(options),
    json,
  };
}

export async function runGrants(context: Context, options: GrantsOptions): Promise<void> {
  switch (options.action) {
    case "list":
      await list(context, options);
      break;
    case "show":
      await show(context, options);
      break;
    case "sign":
      await sign(context, options);
      break;
  }
}

type ListOptions = Extract<GrantsOptions, { action: "list" }>;
type OneOptions = Exclude<GrantsOptions, { action: "list" }>;

async function list(context: Context, options: ListOptions): Promise<void> {
  const { terminal } = context;
  const which = options.openTraces
    ? ({ scope: "all", openTraces: true } as const)
    : options.all
      ? ({ scope: "all" } as const)
      : ({ scope: "mine", state: "active" } as const);
  const found = await (await context.api()).grants({ ...which, ...options.page });
  if (options.json) {
    terminal.json(found);
    return;
  }
  if (found.grants.length === 0) {
    terminal.say(await describeNone(context, options));
    return;
  }
  terminal.table(grantColumns(context.clock.now()), found.grants);
  sayMore(terminal, found.next);
}

async function show(context: Context, options: OneOptions): Promise<void> {
  const { terminal } = context;
  const id = await pick(context, options, { scope: "all" }, "Which grant do you want to see?");
  const detail = await (await context.api()).grantDetail(id);
  if (options.json) {
    terminal.json(detail);
    return;
  }
  for (const text of describeGrant(detail, context.clock.now())) {
    terminal.out(text);
  }
}

async function sign(context: Context, options: OneOptions): Promise<void> {
  const { terminal } = context;
  const open = { scope: "all", openTraces: true } as const;
  const id = await pick(context, options, open, "Which grant's traces do you want to sign?");
  const api = await context.api();
  const before = await api.grantDetail(id);
  // What is signed, so that a person sees it even when the id came by chat.
  for (const text of describeTraces(before)) {
    terminal.say(text);
  }
  const { digest } = before.comparison;
  const detail = await api.signTraces(id, { digest: digest ?? "", comment: options.comment });
  if (options.json) {
    terminal.json(detail);
    return;
  }
  const { person, database } = detail.grant;
  terminal.say(line`Signed: what ${person} left on ${database} (${id}).`);
}

/** By its id alone: the one of a database's grants that is meant is rarely the live one. */
async function pick(
  context: Context,
  { action, grant }: OneOptions,
  which: { readonly scope: "all"; readonly openTraces?: true },
  question: string,
): Promise<string> {
  if (grant === undefined && !context.terminal.interactive) {
    throw new JitdbError(
      "usage.invalid",
      `Which grant? \`jitdb grants ${action}\` needs its id here.`,
      {
        hint: `Write \`jitdb grants ${action} <id>\`; \`jitdb grants --all\` lists them.`,
      },
    );
  }
  const { grants } = await (await context.api()).grants({ ...which, limit: 500 });
  if (grant !== undefined) {
    return resolveId(
      grant,
      "grt_",
      grants.map(({ id }) => id),
    );
  }
  if (grants.length === 0) {
    throw new JitdbError("grant.unknown", "There is none.", {
      hint: "List all with `jitdb grants --all`.",
    });
  }
  return (await chooseGrant(context, grants, question)).id;
}

async function describeNone(context: Context, options: ListOptions): Promise<string> {
  if (options.openTraces) {
    return "No grant left anything that waits for a signature.";
  }
  if (options.all) {
    return "There are no grants yet.";
  }
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
    {
      heading: "STATE",
      show: (grant) => stateOf(grant, now),
      plain: wordOf,
    },
    {
      heading: "ENDS",
      show: (grant) => relative(grant.endedAt ?? grant.endsAt, now),
      plain: (grant) => grant.endedAt ?? grant.endsAt,
    },
    { heading: "USER", spare: true, show: (grant) => grant.user },
    { heading: "SESSIONS", spare: true, show: (grant) => String(grant.openSessions) },
    { heading: "PROBLEM", show: (grant) => grant.userProblem ?? "" },
    {
      heading: "TRACES",
      // Worth a column where there are some.
      show: ({ traces }) => (traces === "open" || traces === "signed" ? traces : ""),
      plain: ({ traces }) => traces,
    },
    { heading: "REVIEW", show: ({ review }) => reviewOf(review) },
  ];
}

/** Only break-glass has one. */
function reviewOf(review: GrantView["review"]): string {
  return review === null ? "" : `break-glass, ${review.signedBy === null ? "open" : "signed"}`;
}

function stateOf(grant: GrantView, now: number): string {
  const isAhead = grant.state === "active" && Date.parse(grant.startsAt) > now;
  return isAhead ? `begins ${relative(grant.startsAt, now)}` : wordOf(grant);
}

function wordOf({ drainingUntil, end, state }: GrantView): string {
  return drainingUntil === null ? (end ?? state) : "draining";
}
