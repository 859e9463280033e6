// Requests that nobody can grant any more: nobody decided in time, or who or what asked is gone.

import type { RequestId } from "@jitdb/shared/ids";
import type { Change } from "../change.ts";
import { nextRequestState } from "./request.ts";
import { requestSubject, selectRequests } from "./row.ts";

/** Lapses them, each with one conditional update. @returns those that this very call has lapsed */
export async function lapseDueRequests(change: Change): Promise<RequestId[]> {
  const due = await selectRequests(change.tx)
    .where("requests.state", "=", "pending")
    .where((where) =>
      where.or([
        where("requests.lapses_at", "<=", change.now),
        where("people.disabled_at", "is not", null),
        where("devices.revoked_at", "is not", null),
      ]),
    )
    .execute();
  const lapsed: RequestId[] = [];
  for (const request of due) {
    const moved = await change.tx
      .updateTable("requests")
      .set({
        state: nextRequestState(request, "lapse"),
        decided_at: change.now,
        decision_reason: reasonFor(request),
      })
      .where("id", "=", request.id)
      .where("state", "=", request.state)
      .returning("id")
      .executeTakeFirst();
    if (moved !== undefined) {
      await change.record({ kind: "request.lapsed", ...requestSubject(request) });
      change.hint("request", request.id);
      lapsed.push(request.id);
    }
  }
  return lapsed;
}

function reasonFor(request: {
  readonly person_disabled_at: number | null;
  readonly device_revoked_at: number | null;
}): string {
  if (request.person_disabled_at !== null) {
    return "The account was disabled.";
  }
  return request.device_revoked_at === null
    ? "Nobody decided in time."
    : "The device that asked was logged out.";
}
