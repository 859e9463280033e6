// More time for a grant that runs: by the rule's own clause, at once or with approvals, always from the end that was seen.

import { formatDuration } from "@jitdb/shared/duration";
import { JitdbError } from "@jitdb/shared/errors";
import type { GrantId } from "@jitdb/shared/ids";
import type { Policy, PolicyExtension } from "../../config/config.ts";
import type { Caller } from "../../identity/caller.ts";
import type { AccessPorts, Change } from "../change.ts";
import { describeHours, withinHours } from "../policies/hours.ts";
import type { Policies } from "../policy.ts";
import { insertRequest, policyTarget } from "../requests/ask.ts";
import { refuseOverDailyLimit } from "../requests/daily-limit.ts";
import { requestDigest } from "../requests/digest.ts";
import { type AskedRequest, moveRequest, requestSubject } from "../requests/row.ts";
import { stageColumns, stagesOfRule } from "../requests/stages.ts";
import { termsColumn } from "../requests/terms.ts";
import { refuseUnconfirmed, requireFreshLogin, type Standing, standingOf } from "../standing.ts";
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
 * `policy.duration`, `policy.no_match` when the rule covers it no longer, `login.stale`, `database.unknown`, `usage.invalid` without the
 * reason that the rule wants, `request.decided` for another end than the grant has
 */
export async function askForMore(
  ports: AccessPorts,
  policies: Policies,
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
  const policy = extendingPolicy(ports, grant);
  const rule = policy.extend;
  refuseUncovered(ports, policies, policy, caller, standing, grant);
  if (grant.break_glass === 1) {
    requireFreshLogin(standing, policy.stepUpMs, change.now);
  }
  const byMs = durationMs ?? rule.byMs;
  if (!Number.isSafeInteger(byMs) || byMs <= 0 || byMs > rule.byMs) {
    throw new JitdbError(
      "policy.duration",
      `The policy ${grant.policy} extends by ${formatDuration(rule.byMs)} at the most.`,
      { hint: `Extend by less with --by ${formatDuration(rule.byMs)}.` },
    );
  }
  if (policy.reasonRequired && reason.trim() === "") {
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
    ...termsColumn(policy),
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
  ports: AccessPorts,
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
  const policy = extendingPolicy(ports, grant);
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
    .where("extensions", "<", policy.extend.times)
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

type ExtendingPolicy = Policy & { readonly extend: PolicyExtension };

/** @throws JitdbError `policy.limit` */
function extendingPolicy({ config }: AccessPorts, grant: FoundGrant): ExtendingPolicy {
  const policy = config.policies.find(({ name }) => name === grant.policy);
  const again = { hint: askAnew(grant) };
  if (policy?.extend === undefined) {
    const message =
      policy === undefined
        ? `The policy ${grant.policy} is no longer in the configuration, and extends no grants.`
        : `The policy ${grant.policy} extends no grants.`;
    throw new JitdbError("policy.limit", message, again);
  }
  const { extend } = policy;
  const { times } = extend;
  if (grant.extensions >= times) {
    const most = times === 1 ? "once" : `${times} times`;
    const message = `The policy ${grant.policy} extends a grant ${most}, and this one was.`;
    throw new JitdbError("policy.limit", message, again);
  }
  return { ...policy, extend };
}

/** SECURITY: who has left the group, or what the policy was narrowed to since, would go on for as long as it extends. */
function refuseUncovered(
  { config }: AccessPorts,
  policies: Policies,
  policy: Policy,
  { name }: Caller,
  { groups, service }: Standing,
  grant: FoundGrant,
): void {
  const database = config.databases.get(grant.database_name);
  if (database === undefined) {
    const message = `${grant.database_name} is no longer in the configuration.`;
    throw new JitdbError("database.unknown", message);
  }
  const asker = { person: name, groups, service, breakGlass: policy.breakGlass !== undefined };
  if (!policies.covers(grant.policy, asker, policyTarget(database), grant.profile)) {
    const message = `The policy ${grant.policy} no longer lets you have ${grant.profile} on ${grant.database_name}.`;
    throw new JitdbError("policy.no_match", message, { hint: askAnew(grant) });
  }
}

function askAnew({ database_name }: FoundGrant): string {
  return `Ask anew with \`jitdb request ${database_name} --for 30m\`.`;
}

/** Whatever the clause of the extension gives: a grant runs inside its policy's hours. */
function refuseOutsideHours(policy: Policy, grant: FoundGrant, durationMs: number): void {
  const lastsMs = grant.ends_at + durationMs - grant.starts_at;
  if (policy.hours !== undefined && !withinHours(policy.hours, grant.starts_at, lastsMs).inside) {
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
