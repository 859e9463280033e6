// `jitdb approve`: says yes to somebody's request, perhaps for a shorter time.

import type { RequestBackground, RequestView } from "@jitdb/shared/api/access";
import { formatDuration, parseDuration } from "@jitdb/shared/duration";
import { describeApproved } from "../approved.ts";
import type { CommandModule, CommandOptions } from "../command-list.ts";
import type { Context } from "../context.ts";
import { optionText } from "../listing.ts";
import { pickRequest } from "../pick.ts";
import type { Terminal } from "../terminal.ts";
import { line, relative } from "../text.ts";

export interface ApproveOptions {
  readonly id: string | undefined;
  readonly durationSeconds: number | undefined;
  readonly profile: string | undefined;
  readonly comment: string;
}

export const approveCommand: CommandModule = {
  define: (command) =>
    command
      .argument("[id]", "the request's id or its beginning; `req_` may be left out")
      .option("--for <duration>", "approve a shorter time than was asked for")
      .option("--profile <name>", "approve narrower privileges than were asked for")
      .option("--comment <text>", "goes on record beside the approval")
      .addHelpText("after", "\nExample:\n  jitdb approve 7k2m --for 15m"),
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
  };
}

export async function runApprove(context: Context, options: ApproveOptions): Promise<void> {
  const { terminal } = context;
  const asked = await pickRequest(context, options.id, { scope: "inbox", verb: "approve" });
  const now = context.clock.now();
  sayWhatIsAsked(terminal, asked, now);
  sayBackground(terminal, asked, await (await context.api()).requestBackground(asked.id), now);
  const { durationSeconds, profile, comment } = options;
  const request = await (await context.api()).approve(asked.id, {
    durationSeconds,
    profile,
    comment,
  });
  if (request.state === "approved") {
    const { person, database } = request;
    terminal.say(line`Approved: ${person} has ${database} for ${describeApproved(request)}.`);
    return;
  }
  const missing = request.approvals.needed - request.approvals.given.length;
  const approvals = missing === 1 ? "approval is" : "approvals are";
  terminal.say(line`Your approval counts; ${missing} more ${approvals} needed.`);
}

/** So that an approver knows that there may be something to sign afterwards. */
function sayWhatItCanLeave(terminal: Terminal, { leavesTraces }: RequestView): void {
  if (leavesTraces.length > 0) {
    terminal.say(line`traces: this profile can leave some; a grant ${leavesTraces.join(", and ")}`);
  }
}

/** What the person had before, and what is not as usual. */
function sayBackground(
  terminal: Terminal,
  { person, database, profile }: RequestView,
  { privileges, lastGrants, unusual }: RequestBackground,
  now: number,
): void {
  if (privileges !== "") {
    terminal.say(line`may: ${privileges}`);
  }
  for (const grant of lastGrants) {
    const had = `${grant.database} (${grant.profile}) for ${formatDuration(grant.durationSeconds * 1000)}`;
    const ran = `${counted(grant.statements, "statement")} in ${counted(grant.sessions, "session")}`;
    terminal.say(line`before: ${had}, ${relative(grant.startsAt, now)}; ${ran}`);
  }
  const words = {
    first_database: `${person}'s first use of ${database}`,
    first_profile: `${person}'s first use of ${profile} on ${database}`,
    hour: `at an hour at which ${person} had no access before`,
    length: `longer than nine in ten of ${person}'s grants`,
  };
  if (unusual.length > 0) {
    terminal.say(line`unusual: ${unusual.map((one) => words[one]).join("; ")}`);
  }
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

/** What is decided on, so that an approver sees it even when the id came by chat. */
export function sayWhatIsAsked(terminal: Terminal, request: RequestView, now: number): void {
  const { person, database, profile, device, reason } = request;
  const duration = formatDuration(request.durationSeconds * 1000);
  const more = request.extendsGrant === null ? "" : " more";
  terminal.say(line`${person} asks for ${database} (${profile}) for ${duration}${more}.`);
  if (request.startsAt !== null && request.extendsGrant === null) {
    terminal.say(line`begins: ${relative(request.startsAt, now)} (${request.startsAt})`);
  }
  terminal.say(line`reason: ${reason === "" ? "none given" : reason}`);
  terminal.say(
    line`device: ${device.label}${device.confirmed ? "" : ", never confirmed before: an approval confirms it"}`,
  );
  sayWhatItCanLeave(terminal, request);
}
