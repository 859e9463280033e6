// What one person may have under a policy in any 24 hours. Any, and not each day from midnight: nobody waits for midnight
// to have twice as much, and no time zone is asked.

import { formatDuration } from "@jitdb/shared/duration";
import { JitdbError } from "@jitdb/shared/errors";
import type { Change } from "../change.ts";
import { usedMs } from "./recent-grants.ts";
import type { RequestRow } from "./row.ts";
import type { Terms } from "./terms.ts";

const dayMs = 86_400_000;

type Wanted = Pick<RequestRow, "person_id" | "duration_ms"> &
  Partial<Pick<RequestRow, "extends_grant">>;

/**
 * Time that was given back early does not count; time ahead does.
 * @throws JitdbError `policy.limit`
 */
export async function refuseOverDailyLimit(
  { tx, now }: Pick<Change, "tx" | "now">,
  wanted: Wanted,
  policy: Pick<Terms, "name" | "perDay"> | undefined,
): Promise<void> {
  const limit = policy?.perDay;
  if (limit === undefined) {
    return;
  }
  const rows = await tx
    .selectFrom("grants")
    .innerJoin("requests", "requests.id", "grants.request_id")
    .select(["grants.starts_at", "grants.ends_at", "grants.ended_at"])
    .where("grants.person_id", "=", wanted.person_id)
    .where("requests.policy", "=", policy?.name ?? "")
    .where("grants.starts_at", ">", now - dayMs)
    .orderBy("grants.starts_at")
    .execute();
  const hint = `The first of them counts no longer from ${new Date((rows[0]?.starts_at ?? now) + dayMs).toISOString()} on.`;
  const isExtension = wanted.extends_grant != null;
  if (limit.grants !== undefined && !isExtension && rows.length >= limit.grants) {
    const message = `The policy ${policy?.name} allows ${limit.grants} grants in 24 hours, and there were as many.`;
    throw new JitdbError("policy.limit", message, { hint });
  }
  const used = rows.reduce((sum, row) => sum + usedMs(row), 0);
  if (limit.timeMs !== undefined && used + wanted.duration_ms > limit.timeMs) {
    const left = Math.floor(Math.max(0, limit.timeMs - used) / 1000) * 1000;
    const message = `The policy ${policy?.name} allows ${formatDuration(limit.timeMs)} in 24 hours; ${formatDuration(left)} are left.`;
    throw new JitdbError("policy.limit", message, {
      hint: left > 0 ? `Ask for less with --for ${formatDuration(left)}.` : hint,
    });
  }
}
