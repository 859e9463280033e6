// `jitdb review`: what was taken by break-glass and waits for somebody else's look, and signing it.

import type { GrantView } from "@jitdb/shared/api/access";
import { JitdbError } from "@jitdb/shared/errors";
import { Argument } from "commander";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { addJsonOption, optionText } from "../listing.ts";
import { resolveId } from "../pick.ts";
import type { Column } from "../table.ts";
import { line, relative } from "../text.ts";

const actions = ["list", "sign"] as const;

export type ReviewOptions =
  | { readonly action: "list"; readonly json: boolean }
  | {
      readonly action: "sign";
      readonly grant: string;
      readonly comment: string;
      readonly json: boolean;
    };

export const reviewCommand: CommandModule = {
  define: (command) =>
    addJsonOption(
      command
        .addArgument(new Argument("[action]", "without one they are listed").choices(actions))
        .argument("[grant]", "the grant's id or its beginning; `grt_` may be left out")
        .option("--comment <text>", "what you found; goes on record beside the signature"),
    ).addHelpText(
      "after",
      '\nA review stays open until a member of the rule\'s reviewers, who is not its person, signs it.\n\nExamples:\n  jitdb review list\n  jitdb audit --grant grt_7k2m9x4qab3d\n  jitdb review sign 7k2m --comment "INC-7 was real; read two tables"',
    ),
  run: (context, args, options) => runReview(context, parseReview(args, options)),
};

/** @throws JitdbError `usage.invalid` for a missing id: what is signed is named, never guessed */
export function parseReview(
  [action, grant]: readonly string[],
  options: CommandOptions,
): ReviewOptions {
  const json = options["json"] === true;
  if (action !== "sign") {
    return { action: "list", json };
  }
  if (grant === undefined) {
    throw new JitdbError("usage.invalid", "Which grant? `jitdb review sign` needs its id.", {
      hint: "Write `jitdb review sign <id>`; `jitdb review list` lists them.",
    });
  }
  return { action, grant, comment: optionText(options, "comment") ?? "", json };
}

export async function runReview(context: Context, options: ReviewOptions): Promise<void> {
  const { terminal } = context;
  const api = await context.api();
  const open = await api.grants({ scope: "all", openReviews: true, limit: 500 });
  if (options.action === "sign") {
    const ids = open.grants.map(({ id }) => id);
    const id = resolveId(options.grant, "grt_", ids);
    const grant = await api.review(id, { comment: options.comment });
    if (options.json) {
      terminal.json(grant);
    } else {
      terminal.say(line`Signed: what ${grant.person} took on ${grant.database} (${id}).`);
    }
    return;
  }
  if (options.json) {
    terminal.json(open);
  } else if (open.grants.length === 0) {
    terminal.say("No break-glass waits for a review.");
  } else {
    terminal.table(reviewColumns(context.clock.now()), open.grants);
  }
}

function reviewColumns(now: number): Column<GrantView>[] {
  return [
    { heading: "ID", show: (grant) => grant.id },
    { heading: "WHO", show: (grant) => grant.person },
    { heading: "DATABASE", show: (grant) => grant.database },
    { heading: "PROFILE", show: (grant) => grant.profile },
    { heading: "STATE", show: (grant) => grant.end ?? grant.state },
    {
      heading: "DUE",
      show: ({ review }) => dueOf(review?.dueAt ?? "", now),
      plain: ({ review }) => review?.dueAt ?? "",
    },
    { heading: "REVIEWERS", show: ({ review }) => review?.groups.join(", ") ?? "" },
  ];
}

function dueOf(dueAt: string, now: number): string {
  const due = relative(dueAt, now);
  return Date.parse(dueAt) < now ? `overdue, ${due}` : due;
}
