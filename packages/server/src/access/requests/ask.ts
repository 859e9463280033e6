// Asking for access: which policy decides, with which profile, and the row that comes of it.

import { formatDuration, maxDurationMs } from "@jitdb/shared/duration";
import { JitdbError } from "@jitdb/shared/errors";
import { createRequestId } from "@jitdb/shared/ids";
import { nearest } from "@jitdb/shared/nearest";
import type { DatabaseConfig, Policy, PolicyStage } from "../../config/config.ts";
import type { Caller } from "../../identity/caller.ts";
import type { AccessPorts, Change } from "../change.ts";
import { grantRequest } from "../grants/start.ts";
import { refusalError } from "../policies/refusal.ts";
import type { Asker, Policies, PolicyQuestion, PolicyTarget } from "../policy.ts";
import { refuseUnconfirmed, requireFreshLogin, standingOf } from "../standing.ts";
import { refuseOverDailyLimit } from "./daily-limit.ts";
import { requestDigest } from "./digest.ts";
import { lapseDueRequests } from "./lapse.ts";
import { recentGrants } from "./recent-grants.ts";
import { type AskedRequest, type RequestRow, requestSubject, selectRequests } from "./row.ts";
import { stageColumns, stagesOfRequest } from "./stages.ts";
import { termsColumn } from "./terms.ts";

/** How many requests of one person may wait at a time. */
export const maxPendingRequests = 50;

/** How far ahead a grant may be asked for, in milliseconds. */
export const maxAheadMs = 30 * 86_400_000;

const preferredProfile = "read-only";

export interface Ask {
  readonly database: string;
  readonly profile?: string | undefined;
  /** Absent: as long as the policy says. */
  readonly durationMs?: number | undefined;
  readonly reason: string;
  /** Epoch ms; absent: as soon as it is granted. */
  readonly startsAt?: number | undefined;
  readonly breakGlass?: boolean | undefined;
}

/**
 * Makes a request, or finds the same one that still waits: whoever lost an answer and asks again gets that answer, and
 * approvers see one request. Same means person, device, database, profile, duration, reason, start and break-glass.
 * Automatic approval works from a confirmed device only; from another one an administrator has to approve once.
 * @returns the request's id
 */
export async function ask(
  ports: AccessPorts,
  policies: Policies,
  change: Change,
  caller: Caller,
  input: Ask,
): Promise<string> {
  await lapseDueRequests(change);
  const { policy, fields, stages } = await planRequest(ports, policies, change, caller, input);
  const request = await insertRequest(ports, change, caller, fields);
  // Also for one that waited for an administrator and whose device was confirmed since.
  if (stages.length === 0) {
    const granted = await moveToPolicy(change, request, policy);
    const { duration_ms: durationMs, profile } = fields;
    await grantRequest(ports, change, granted, { durationMs, profile, by: null });
  }
  return request.id;
}

/** What waited under a policy of yesterday, and one of today grants at once, is granted under that of today. */
async function moveToPolicy(
  { tx }: Change,
  request: AskedRequest,
  policy: Policy,
): Promise<AskedRequest> {
  if (request.policy === policy.name) {
    return request;
  }
  const today = { policy: policy.name, ...termsColumn(policy) };
  await tx.updateTable("requests").set(today).where("id", "=", request.id).execute();
  return { ...request, ...today };
}

/** What asking comes to, before anything is written. */
export interface RequestPlan {
  readonly policy: Policy;
  /** Who has to approve, in order; none: it is granted at once. */
  readonly stages: readonly PolicyStage[];
  readonly fields: NewRequest;
  /** Groups that let the person ask. */
  readonly throughGroups: readonly string[];
  readonly deviceConfirmed: boolean;
}

/** A look at the store; what is decided by it holds for as long as nothing changes. */
export type Look = Pick<Change, "tx" | "now">;

/** Decides on what is asked, and changes nothing. @throws what `ask` throws, in words for whoever asks */
export async function planRequest(
  ports: Pick<AccessPorts, "config">,
  policies: Policies,
  look: Look,
  caller: Caller,
  input: Ask,
): Promise<RequestPlan> {
  const { groups, service, deviceConfirmed, authenticatedAt } = await standingOf(look.tx, caller);
  const breakGlass = input.breakGlass === true;
  if (breakGlass) {
    // SECURITY: nobody would have looked at a phished login before it is inside.
    refuseUnconfirmed({ deviceConfirmed }, caller);
  }
  refuseStart(look, input);
  const asker = { person: caller.name, groups, service, breakGlass };
  const decided = decide(ports.config.databases, policies, asker, input, {
    start: input.startsAt ?? look.now,
    deviceConfirmed,
    deviceId: caller.deviceId,
    recent: await recentGrants(look.tx, caller.personId, input.database, look.now),
  });
  const { policy, profile, durationMs, latestStart } = decided;
  if (breakGlass) {
    requireFreshLogin({ authenticatedAt }, policy.stepUpMs, look.now);
  }
  const stages = stagesOfRequest(policy.approval, deviceConfirmed);
  const throughGroups = policy.who.groups.filter((group) => groups.includes(group));
  const asked = {
    person_id: caller.personId,
    device_id: caller.deviceId,
    database_name: input.database,
    profile,
    duration_ms: durationMs,
    reason: input.reason,
    starts_at: input.startsAt ?? null,
    break_glass: breakGlass ? 1 : 0,
    extends_grant: null,
  };
  await refuseOverDailyLimit(look, asked, policy);
  const fields = {
    ...asked,
    policy: policy.name,
    ...termsColumn(policy),
    ...stageColumns(stages),
    through_groups: JSON.stringify(throughGroups),
    digest: requestDigest(asked),
    lapses_at: Math.min(
      look.now + policy.requestLifetimeMs,
      (input.startsAt ?? Number.POSITIVE_INFINITY) + durationMs,
      // Granted later than that, it would run past the policy's hours.
      latestStart,
    ),
  };
  return { policy, stages, fields, throughGroups, deviceConfirmed };
}

function refuseStart({ now }: Look, { startsAt }: Ask): void {
  if (startsAt === undefined) {
    return;
  }
  if (!Number.isSafeInteger(startsAt) || startsAt <= now || startsAt > now + maxAheadMs) {
    throw new JitdbError(
      "usage.invalid",
      `A grant begins now or at most ${formatDuration(maxAheadMs)} ahead.`,
      { hint: "Leave --at out, or write a later time, such as --at 22:00." },
    );
  }
}

/** The same request, where it still waits. */
export async function findSame({ tx }: Look, digest: string): Promise<AskedRequest | undefined> {
  return await selectRequests(tx)
    .where("requests.digest", "=", digest)
    .where("requests.state", "=", "pending")
    .executeTakeFirst();
}

type NewRequest = Omit<
  RequestRow,
  "id" | "state" | "created_at" | "decided_at" | "decided_by" | "decision_reason"
>;

/** The row, or the same one that still waits. @throws JitdbError `limit.reached`, `request.decided` */
export async function insertRequest(
  { random }: AccessPorts,
  change: Change,
  caller: Caller,
  fields: NewRequest,
): Promise<AskedRequest> {
  const same = await findSame(change, fields.digest);
  if (same !== undefined) {
    return same;
  }
  await refuseTooMany(change, caller);
  const inserted = await change.tx
    .insertInto("requests")
    .values({
      ...fields,
      id: createRequestId(random),
      state: "pending",
      created_at: change.now,
      decided_at: null,
      decided_by: null,
      decision_reason: null,
    })
    // Where transactions run beside each other, the same may have been asked since we looked.
    .onConflict((conflict) => conflict.doNothing())
    .returning("id")
    .executeTakeFirst();
  const request = await findSame(change, fields.digest);
  if (request === undefined) {
    throw new JitdbError("request.decided", "The same request was just decided.");
  }
  if (inserted !== undefined) {
    await change.record({
      kind: "request.created",
      ...requestSubject(request, caller.address),
      profile: fields.profile,
      durationMs: fields.duration_ms,
      reason: fields.reason,
      policy: fields.policy,
      digest: fields.digest,
      ...(fields.starts_at !== null && { startsAt: new Date(fields.starts_at).toISOString() }),
      ...(fields.extends_grant !== null && { extends: fields.extends_grant }),
    });
    change.hint("request", request.id);
  }
  return request;
}

/** @throws JitdbError `limit.reached` */
export async function refuseTooMany({ tx }: Look, { personId }: Caller): Promise<void> {
  const { count } = await tx
    .selectFrom("requests")
    .select((select) => select.fn.countAll<number | string>().as("count"))
    .where("person_id", "=", personId)
    .where("state", "=", "pending")
    .executeTakeFirstOrThrow();
  if (Number(count) >= maxPendingRequests) {
    throw new JitdbError("limit.reached", `${count} of your requests are waiting.`, {
      hint: "See them with `jitdb requests`, and wait for their decision.",
    });
  }
}

/** A database as policies see it. */
export function policyTarget({ name, labels, profiles }: DatabaseConfig): PolicyTarget {
  return { name, labels, profiles: [...profiles.keys()] };
}

/**
 * The policy that decides and the profile that is meant, or the refusal as an error.
 *
 * A name that nobody configured is `database.unknown`, a database that no policy opens to this person `policy.no_match`,
 * so a person who is logged in can find out whether a name exists. That is meant: inside a company a database's name is
 * no secret, "ask your lead for prod-orders" is a better answer than "no such database", and every refusal is on
 * record. Nothing else about a closed database is said, and the lists name only what this person may ask for.
 */
function decide(
  databases: ReadonlyMap<string, DatabaseConfig>,
  policies: Policies,
  asker: Asker,
  { database: name, profile, durationMs, reason }: Ask,
  circumstances: Pick<PolicyQuestion, "start" | "deviceConfirmed" | "deviceId" | "recent">,
): { policy: Policy; profile: string; durationMs: number; latestStart: number } {
  if (durationMs !== undefined && !isDuration(durationMs)) {
    throw new JitdbError("usage.duration", `${durationMs} milliseconds are no duration.`);
  }
  const config = databases.get(name);
  if (config === undefined) {
    const message = `There is no database "${name}".`;
    // SECURITY: out of what the person may ask for alone, so that a slip of the keyboard finds no other names.
    const near = nearest(name, usable(databases, policies, asker));
    throw new JitdbError("database.unknown", message, {
      hint: near === undefined ? sayUsable(databases, policies, asker) : `Did you mean ${near}?`,
    });
  }
  const database = policyTarget(config);
  const chosen = profile ?? defaultProfile(policies, asker, database);
  const question = { ...asker, ...circumstances, database, profile: chosen, durationMs, reason };
  const answer = policies.evaluate(question);
  if (answer.outcome !== "match") {
    throw refusalError(answer, question, sayUsable(databases, policies, asker));
  }
  const { policy, latestStart = Number.POSITIVE_INFINITY } = answer;
  return { policy, profile: chosen, durationMs: answer.durationMs, latestStart };
}

function isDuration(durationMs: number): boolean {
  return Number.isSafeInteger(durationMs) && durationMs > 0 && durationMs <= maxDurationMs;
}

/**
 * The only profile that the person may ask for, else the one that reads only.
 * @throws JitdbError `usage.ambiguous` naming them, when there are several and none of them reads only
 */
function defaultProfile(policies: Policies, asker: Asker, database: PolicyTarget): string {
  const profiles = policies.profilesFor(asker, database).map(({ profile }) => profile);
  const [only = preferredProfile] = profiles;
  if (profiles.length <= 1) {
    return only;
  }
  if (profiles.includes(preferredProfile)) {
    return preferredProfile;
  }
  throw new JitdbError(
    "usage.ambiguous",
    `You may ask for ${database.name} with the profiles ${profiles.join(", ")}.`,
    { hint: "Name the one you mean with --profile." },
  );
}

/** Names of the databases that the person may ask for. */
function usable(
  databases: ReadonlyMap<string, DatabaseConfig>,
  policies: Policies,
  asker: Asker,
): string[] {
  return [...databases.values()]
    .filter((database) => policies.profilesFor(asker, policyTarget(database)).length > 0)
    .map(({ name }) => name)
    .sort();
}

function sayUsable(...question: Parameters<typeof usable>): string {
  const names = usable(...question);
  return names.length === 0
    ? "No policy opens any database to you; ask an administrator."
    : `You may ask for ${names.join(", ")}; \`jitdb databases\` says more.`;
}
