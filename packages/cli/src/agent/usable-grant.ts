// The grant that a command works with: picked, and with its database user made.

import type { GrantView } from "@jitdb/shared/api/access";
import { JitdbError } from "@jitdb/shared/errors";
import type { Context } from "../context.ts";
import { pickGrant } from "../pick.ts";
import type { Spinner } from "../terminal.ts";
import { clean, line, relative } from "../text.ts";
import { describeEnd } from "./grant-watch.ts";

/** How often it is looked whether the user is there. */
const lookMs = 500;

/**
 * The only live grant, the one on `database`, or the one that the person chooses; waits while its user is being made.
 * @throws JitdbError `grant.*`, `usage.ambiguous`; `local.interrupted` on Ctrl-C
 */
export async function usableGrant(
  context: Context,
  database: string | undefined,
): Promise<GrantView> {
  const picked = await pickGrant(context, database);
  if (picked.state === "active" && Date.parse(picked.startsAt) > context.clock.now()) {
    const begins = relative(picked.startsAt, context.clock.now());
    throw new JitdbError(
      "grant.not_started",
      line`The grant for ${picked.database} begins ${begins} (${picked.startsAt}).`,
    );
  }
  const grant =
    picked.user === "preparing" ? await awaitUser(context, picked) : checkUsable(picked);
  if (grant.review !== null) {
    context.terminal.say(
      line`${grant.database} is by break-glass: everything you do is reviewed (by ${grant.review.groups.join(" or ")}).`,
    );
  }
  return grant;
}

async function awaitUser(context: Context, picked: GrantView): Promise<GrantView> {
  const { terminal } = context;
  const api = await context.api();
  const signal = context.interruption();
  const spinner = await terminal.spinner(describeWait(picked));
  try {
    return checkUsable(await poll(picked, signal, spinner));
  } catch (cause) {
    throw signal.aborted ? new JitdbError("local.interrupted", "Interrupted.", { cause }) : cause;
  } finally {
    spinner.stop();
  }

  async function poll(grant: GrantView, stop: AbortSignal, shown: Spinner): Promise<GrantView> {
    let current = grant;
    while (current.state === "active" && current.user === "preparing") {
      await context.pause(lookMs, stop);
      const before = current.userProblem;
      current = await api.grant(current.id);
      shown.update(describeWait(current));
      // Elsewhere than in a terminal updates are silent, and whoever reads a log must not wonder.
      if (current.userProblem !== null && current.userProblem !== before && !terminal.interactive) {
        terminal.say(clean(current.userProblem));
      }
    }
    return current;
  }
}

function describeWait({ database, userProblem }: GrantView): string {
  const problem = userProblem === null ? "" : line` ${userProblem}`;
  return line`The database user for ${database} is being made.${problem}`;
}

function checkUsable(grant: GrantView): GrantView {
  if (grant.state === "ended") {
    throw describeEnd(grant);
  }
  if (grant.user !== "ready") {
    const problem = grant.userProblem === null ? "" : ` ${grant.userProblem}`;
    throw new JitdbError(
      "database.not_ready",
      `The database user for ${grant.database} can't be used.${problem}`,
      { hint: "Ask an administrator, who finds more in the server's log." },
    );
  }
  return grant;
}
