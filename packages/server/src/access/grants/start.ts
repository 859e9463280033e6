// The start of a grant: the last approval was there. Request, grant and the ledger's row change together.

import { JitdbError } from "@jitdb/shared/errors";
import { createGrantId } from "@jitdb/shared/ids";
import type { Caller } from "../../identity/caller.ts";
import type { AccessPorts, Change } from "../change.ts";
import { refuseOverDailyLimit } from "../requests/daily-limit.ts";
import { type AskedRequest, glassMark, moveRequest, requestSubject } from "../requests/row.ts";
import { termsOf } from "../requests/terms.ts";
import { openReview } from "./reviews.ts";

export interface GrantTerms {
  readonly durationMs: number;
  /** As asked, or narrower. */
  readonly profile: string;
  /** Who gave the last approval; null: the policy asks for none. */
  readonly by: Caller | null;
}

/**
 * Grants a pending request. The grant's time runs from this moment or from the start that was asked for, is fixed here,
 * and never starts again.
 * @throws JitdbError `request.decided`, `request.lapsed`, `policy.limit`
 */
export async function grantRequest(
  ports: AccessPorts,
  change: Change,
  request: AskedRequest,
  { durationMs, profile, by }: GrantTerms,
): Promise<void> {
  const { config, random, planUser } = ports;
  await moveRequest(change, request, "grant", { by: by?.personId ?? null, reason: null });
  const { tx, now, record, hint } = change;
  const terms = termsOf(config.policies, request);
  // Here and not only when it was asked: many requests may wait beside each other.
  await refuseOverDailyLimit(change, { ...request, duration_ms: durationMs }, terms);
  const id = createGrantId(random);
  const startsAt = Math.max(now, request.starts_at ?? now);
  // Approved late: what was asked for is over at the same moment.
  const endsAt = (request.starts_at ?? now) + durationMs;
  if (endsAt <= now) {
    throw new JitdbError("request.lapsed", "The time that was asked for is over.");
  }
  // As the policy says now: what it says later changes no grant that runs.
  const drainMs = terms?.drainMs ?? 0;
  await tx
    .insertInto("grants")
    .values({
      id,
      request_id: request.id,
      person_id: request.person_id,
      device_id: request.device_id,
      database_name: request.database_name,
      profile,
      starts_at: startsAt,
      ends_at: endsAt,
      drain_ms: drainMs,
      state: "active",
      end: null,
      ended_at: null,
      ended_by: null,
      end_reason: null,
    })
    .execute();
  const common = {
    ...requestSubject(request, by?.address),
    grant: id,
    profile,
    startsAt: new Date(startsAt).toISOString(),
    endsAt: new Date(endsAt).toISOString(),
  };
  await record({ kind: "request.granted", ...common, policy: request.policy });
  await record({ kind: "grant.started", ...common, ...(drainMs > 0 && { drainMs }) });
  const { userName } = await planUser(tx, {
    grantId: id,
    personName: request.person_name,
    databaseName: request.database_name,
    profile,
    validUntil: endsAt,
    drainMs,
  });
  await record({
    kind: "user.planned",
    person: request.person_name,
    database: request.database_name,
    grant: id,
    ...glassMark(request),
    user: userName,
    profile,
  });
  if (request.break_glass === 1) {
    await openReview(change, request, id, terms?.breakGlass);
  }
  hint("grant", id);
}
