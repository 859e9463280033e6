// A closer look at what somebody did before: the statements of their last grants, as `jitdb audit` shows them.

import type { RequestBackground, RequestView } from "@jitdb/shared/api/access";
import { formatDuration } from "@jitdb/shared/duration";
import type { Api } from "../api.ts";
import { Story } from "../audit/story.ts";
import { drawTimeline } from "../audit/views.ts";
import type { Context } from "../context.ts";
import { line, relative } from "../text.ts";

/** Of each grant the newest. */
const shown = { statements: 15, records: 100 } as const;

type PastGrant = RequestBackground["lastGrants"][number];

export async function lookCloser(
  context: Pick<Context, "terminal" | "clock">,
  api: Pick<Api, "audit">,
  { person }: RequestView,
  { lastGrants }: RequestBackground,
): Promise<void> {
  const { terminal } = context;
  if (lastGrants.length === 0) {
    terminal.say(line`${person} had no grant so far.`);
  }
  for (const grant of lastGrants) {
    const { id, database, profile, durationSeconds, startsAt } = grant;
    const duration = formatDuration(durationSeconds * 1000);
    const when = relative(startsAt, context.clock.now());
    terminal.say(line`${id}: ${database} (${profile}) for ${duration}, ${when}`);
    for (const text of await describeStatements(context, api, grant)) {
      terminal.say(`  ${text}`);
    }
  }
}

async function describeStatements(
  { terminal, clock }: Pick<Context, "terminal" | "clock">,
  api: Pick<Api, "audit">,
  { id, readable }: PastGrant,
): Promise<string[]> {
  if (!readable) {
    return ["Its statements are for those who decide on that database, and for administrators."];
  }
  const { records } = await api.audit({ grant: id, kind: "statement", limit: shown.records });
  const story = new Story();
  const happenings = story.tell(records);
  if (happenings.length === 0) {
    return ["No statement is on record."];
  }
  const newest = happenings.slice(-shown.statements);
  const width = (terminal.talkColumns ?? 80) - 2;
  const lines = drawTimeline(newest, story, { width, now: clock.now(), outcomes: true });
  const isPart = newest.length < happenings.length || records.length === shown.records;
  return [...lines, ...(isPart ? [line`The newest; all: jitdb audit --grant ${id}`] : [])];
}
