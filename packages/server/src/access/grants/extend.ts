// More time for a grant that runs: by the rule's own clause, at once or with approvals, always from the end that was seen.

import { formatDuration } from "@jitdb/shared/duration";
import { JitdbError } from "@jitdb/shared/errors";
import type { GrantId } from "@jitdb/shared/ids";
import type { Policy } from "../../config/config.ts";
import type { Caller } from "../../identity/caller.ts";
import type { AccessPorts, Change } from "../change.ts";
import { describeHours, withinHours } from "../policies/hours.ts";
import { insertRequest } from "../requests/ask.ts";
import { refuseOverDailyLimit } from "../requests/daily-limit.ts";
import { requestDigest } from "../requests/digest.ts";
import { type AskedRequest, moveRequest, requestSubject } from "../requests/row.ts";
import { stageColumns, stagesOfRule } from "../requests/stages.ts";
import { refuseUnconfirmed, requireFreshLogin, standingOf } from "../standing.ts";
import { endedError } from "./grant.ts";

export interface ExtensionAsk {
  /** Absent: as much as the rule gives at a time. */
  readonly durationMs?: number | undefined;
  readonly reason: string;
  /** Epoch ms: the end that the person saw. Whoever sends the same twice gets it once. */
  readonly endsAt: number;
}

/**
 * Asks for more time, which is given at once where the rule wants no approval.
 * @returns the request's id
 * @throws JitdbError `grant.unknown`, `grant.expired`, `grant.revoked`, `device.unconfirmed`, `policy.limit`,
 * `policy.duration`, `login.stale`, `usage.invalid` without the reason that the rule wants, `request.decided` for another end than the grant has
 */
export async function askForMore(
  ports: AccessPorts,
  change: Change,
  caller: Caller,
  id: string,
  { durationMs, reason, endsAt }: ExtensionAsk,
): Promise<string> {
  const standing = await standingOf(change.tx, caller);
  const grant = await findGrant(change, id);
  if (grant === undefined || grant.person_id !== caller.personId) {
    throw new JitdbError("grant.unknown", `You have no grant ${id}.`);
  }
  refuseUnconfirmed(standing, caller);
  if (grant.state === "ended" || change.now >= grant.ends_at) {
    throw endedError(grant);
  }
  if (grant.ends_at !== endsAt) {
    throw movedError(id, grant.ends_at);
  }
  const policy = ports.config.policies.find(({ name }) => name === grant.policy);
  const rule = refuseWithoutRule(policy, grant);
  if (grant.break_glass === 1) {
    requireFreshLogin(standing, policy?.stepUpMs, change.now);
  }
  const byMs = durationMs ?? rule.byMs;
  if (!Number.isSafeInteger(byMs) || byMs <= 0 || byMs > rule.byMs) {
    throw new JitdbError(
      "policy.duration",
      `The policy ${grant.policy} extends by ${formatDuration(rule.byMs)} at the most.`,
      { hint: `Extend by less with --by ${formatDuration(rule.byMs)}.` },
    );
  }
  if (policy?.reasonRequired === true && reason.trim() === "") {
    throw new JitdbError("usage.invalid", `The policy ${grant.policy} wants a reason.`, {
      hint: "Say why with --reason.",
    });
  }
  const asked = {
    person_id: caller.personId,
    device_id: caller.deviceId,
    database_name: grant.database_name,
    profile: grant.profile,
    duration_ms: byMs,
    reason,
    starts_at: grant.ends_at,
    // More time of it is to be reviewed with the rest.
    break_glass: grant.break_glass,
    extends_grant: grant.id,
  };
  refuseOutsideHours(policy, grant, byMs);
  await refuseOverDailyLimit(change, asked, policy);
  const request = await insertRequest(ports, change, caller, {
    ...asked,
    policy: grant.policy,
    ...stageColumns(stagesOfRule(rule.approval)),
    through_groups: grant.through_groups,
    digest: requestDigest(asked),
    lapses_at: grant.ends_at,
  });
  if (rule.approval.kind === "automatic") {
    await extendGrant(ports, change, request, { durationMs: byMs, by: null });
  }
  return request.id;
}

/**
 * Gives a grant the time that a request asked for, with one conditional update.
 * @throws JitdbError `grant.*` when it has ended, `policy.limit`, `request.decided` when its end has moved
 */
export async function extendGrant(
  { config }: AccessPorts,
  change: Change,
  request: AskedRequest,
  { durationMs, by }: { readonly durationMs: number; readonly by: Caller | null },
): Promise<void> {
  const grant = await findGrant(change, request.extends_grant ?? "");
  if (grant === undefined) {
    throw new JitdbError("grant.unknown", "The grant that was to be extended is not there.");
  }
  if (grant.state === "ended" || change.now >= grant.ends_at) {
    throw endedError(grant);
  }
  const policy = config.policies.find(({ name }) => name === grant.policy);
  const rule = refuseWithoutRule(policy, grant);
  refuseOutsideHours(policy, grant, durationMs);
  await refuseOverDailyLimit(change, { ...request, duration_ms: durationMs }, policy);
  await moveRequest(change, request, "grant", { by: by?.personId ?? null, reason: null });
  const endsAt = grant.ends_at + durationMs;
  const extended = await change.tx
    .updateTable("grants")
    .set((set) => ({ ends_at: endsAt, extensions: set("extensions", "+", 1) }))
    .where("id", "=", grant.id)
    .where("state", "=", "active")
    // What was asked for begins where the grant ended then, and nowhere else.
    .where("ends_at", "=", request.starts_at ?? 0)
    .where("extensions", "<", rule.times)
    .returning("id")
    .executeTakeFirst();
  if (extended === undefined) {
    throw movedError(grant.id, grant.ends_at);
  }
  await change.record({
    kind: "grant.extended",
    ...requestSubject(request, by?.address),
    grant: grant.id,
    policy: grant.policy,
    endsAt: new Date(endsAt).toISOString(),
    durationMs,
    ...(by !== null && { by: by.name }),
  });
  change.hint("grant", grant.id);
}

type FoundGrant = NonNullable<Awaited<ReturnType<typeof findGrant>>>;

async function findGrant({ tx }: Change, id: string) {
  return await tx
    .selectFrom("grants")
    .innerJoin("requests", "requests.id", "grants.request_id")
    .selectAll("grants")
    .select(["requests.policy", "requests.through_groups", "requests.break_glass"])
    .where("grants.id", "=", id as GrantId)
    .executeTakeFirst();
}

function refuseWithoutRule(
  policy: Policy | undefined,
  grant: FoundGrant,
): NonNullable<Policy["extend"]> {
  const again = { hint: `Ask anew with \`jitdb request ${grant.database_name} --for 30m\`.` };
  if (policy?.extend === undefined) {
    const message = `The policy ${grant.policy} extends no grants.`;
    throw new JitdbError("policy.limit", message, again);
  }
  const { times } = policy.extend;
  if (grant.extensions >= times) {
    const most = times === 1 ? "once" : `${times} times`;
    const message = `The policy ${grant.policy} extends a grant ${most}, and this one was.`;
    throw new JitdbError("policy.limit", message, again);
  }
  return policy.extend;
}

/** Whatever the clause of the extension gives: a grant runs inside its policy's hours. */
function refuseOutsideHours(
  policy: Policy | undefined,
  grant: FoundGrant,
  durationMs: number,
): void {
  const lastsMs = grant.ends_at + durationMs - grant.starts_at;
  if (policy?.hours !== undefined && !withinHours(policy.hours, grant.starts_at, lastsMs).inside) {
    const message = `With ${formatDuration(durationMs)} more the grant would leave the hours of the policy ${policy.name}: ${describeHours(policy.hours)}.`;
    throw new JitdbError("policy.limit", message, {
      hint: "Extend by less with --by, or ask again when they begin.",
    });
  }
}

function movedError(id: string, endsAt: number): JitdbError {
  const end = new Date(endsAt).toISOString();
  return new JitdbError("request.decided", `The grant ${id} runs until ${end} by now.`, {
    hint: "See it with `jitdb grants`, and extend it again if that is not enough.",
  });
}
