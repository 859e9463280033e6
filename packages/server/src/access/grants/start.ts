// The start of a grant: the last approval was there. Request, grant and the ledger's row change together.

import { createGrantId } from "@jitdb/shared/ids";
import type { Caller } from "../../identity/caller.ts";
import type { AccessPorts, Change } from "../change.ts";
import { type AskedRequest, moveRequest, requestSubject } from "../requests/row.ts";

export interface GrantTerms {
  readonly durationMs: number;
  /** Who gave the last approval; null: the policy asks for none. */
  readonly by: Caller | null;
}

/**
 * Grants a pending request. The grant's time runs from this moment, is fixed here, and never starts again.
 * @throws JitdbError `request.decided`, `request.lapsed`
 */
export async function grantRequest(
  { config, random, planUser }: AccessPorts,
  change: Change,
  request: AskedRequest,
  { durationMs, by }: GrantTerms,
): Promise<void> {
  await moveRequest(change, request, "grant", { by: by?.personId ?? null, reason: null });
  const { tx, now, record, hint } = change;
  const id = createGrantId(random);
  const endsAt = now + durationMs;
  // As the policy says now: what it says later changes no grant that runs.
  const drainMs = config.policies.find(({ name }) => name === request.policy)?.drainMs ?? 0;
  await tx
    .insertInto("grants")
    .values({
      id,
      request_id: request.id,
      person_id: request.person_id,
      device_id: request.device_id,
      database_name: request.database_name,
      profile: request.profile,
      starts_at: now,
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
    profile: request.profile,
    startsAt: new Date(now).toISOString(),
    endsAt: new Date(endsAt).toISOString(),
  };
  await record({ kind: "request.granted", ...common, policy: request.policy });
  await record({ kind: "grant.started", ...common, ...(drainMs > 0 && { drainMs }) });
  const { userName } = await planUser(tx, {
    grantId: id,
    personName: request.person_name,
    databaseName: request.database_name,
    profile: request.profile,
    validUntil: endsAt,
    drainMs,
  });
  await record({
    kind: "user.planned",
    person: request.person_name,
    database: request.database_name,
    grant: id,
    user: userName,
    profile: request.profile,
  });
  hint("grant", id);
}
