// `jitdb approve`: shows somebody's request, and says yes to it, perhaps for a shorter time; in a terminal it may become a no.

import type { RequestView } from "@jitdb/shared/api/access";
import { parseDuration } from "@jitdb/shared/duration";
import type { Approval } from "../api.ts";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { optionText } from "../listing.ts";
import { pickRequest } from "../pick.ts";
import { sayBackground, sayWhatIsAsked } from "../requests/case.ts";
import { decideOn, differs, sayApproved } from "../requests/decide.ts";
import { settledError } from "../requests/settled.ts";
import { line } from "../text.ts";
import { waitForDecision } from "../waiting.ts";

export interface ApproveOptions {
  readonly id: string | undefined;
  readonly durationSeconds: number | undefined;
  readonly profile: string | undefined;
  readonly comment: string;
  /** Approve without a question, in a terminal, too. */
  readonly yes: boolean;
}

export const approveCommand: CommandModule = {
  define: (command) =>
    command
      .argument("[id]", "the request's id or its beginning; `req_` may be left out")
      .option("--for <duration>", "approve a shorter time than was asked for")
      .option("--profile <name>", "approve narrower privileges than were asked for")
      .option("--comment <text>", "goes on record beside the approval")
      .option("-y, --yes", "approve at once, without a question")
      .addHelpText(
        "after",
        "\nIn a terminal it shows the request and waits for a key: y approves, s shortens, d denies, l looks closer, Enter" +
          "\nleaves it. Elsewhere it approves at once.\n\nExample:\n  jitdb approve 7k2m --for 15m",
      ),
  run: (context, args, options) => runApprove(context, parseApprove(args, options)),
};

/** @throws JitdbError `usage.duration` */
export function parseApprove(args: readonly string[], options: CommandOptions): ApproveOptions {
  const duration = optionText(options, "for");
  return {
    id: args[0],
    durationSeconds: duration === undefined ? undefined : parseDuration(duration) / 1000,
    profile: optionText(options, "profile"),
    comment: optionText(options, "comment") ?? "",
    yes: options["yes"] === true,
  };
}

export async function runApprove(context: Context, options: ApproveOptions): Promise<void> {
  const { terminal } = context;
  const asked = await pickRequest(context, options.id, { scope: "inbox", verb: "approve" });
  if (terminal.interactive && !options.yes) {
    if (!asked.canDecide) {
      throw settledError(asked);
    }
    await decide(context, asked, options);
    return;
  }
  const api = await context.api();
  const now = context.clock.now();
  sayWhatIsAsked(terminal, asked, now);
  sayBackground(terminal, asked, await api.requestBackground(asked.id), now);
  sayApproved(terminal, await api.approve(asked.id, approvalOf(options)));
}

/** Asks the person, for as long as the request is theirs to decide. */
async function decide(
  context: Context,
  asked: RequestView,
  options: ApproveOptions,
): Promise<void> {
  const { terminal } = context;
  const api = await context.api();
  const signal = context.interruption();
  const stop = new AbortController();
  const over = AbortSignal.any([signal, stop.signal]);
  const keyboard = terminal.openKeyboard();
  try {
    const outcome = await decideOn(context, api, asked, {
      keyboard,
      signal,
      changes: (known) =>
        waitForDecision(context, api, known.id, over, (now) => differs(known, now)),
      preset: approvalOf(options),
    });
    if (outcome.kind === "gone") {
      throw settledError(outcome.request);
    }
    if (outcome.kind === "left") {
      terminal.say(line`Left undecided; ${asked.id} still waits.`);
    }
  } finally {
    keyboard.close();
    stop.abort();
  }
}

function approvalOf({ durationSeconds, profile, comment }: ApproveOptions): Approval {
  return { durationSeconds, profile, comment };
}
