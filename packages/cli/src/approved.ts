// What came of a request: approvers may have shortened and narrowed it.

import type { RequestView } from "@jitdb/shared/api/access";
import { formatDuration } from "@jitdb/shared/duration";
import { line } from "./text.ts";

/** `15m`, and the profile where it is another one than was asked for: `15m (read-only)`. */
export function describeApproved({ durationSeconds, approvals }: RequestView): string {
  const given = approvals.given.map((each) => each.durationSeconds ?? durationSeconds);
  const duration = formatDuration(Math.min(durationSeconds, ...given) * 1000);
  // Each approver could only narrow what the one before had left.
  const narrowed = approvals.given.findLast(({ profile }) => profile !== null)?.profile;
  return narrowed == null ? duration : line`${duration} (${narrowed})`;
}
