// Deciding on a request: approve, deny, withdraw. Who may, once each, and never on one's own.

import { formatDuration } from "@jitdb/shared/duration";
import { JitdbError } from "@jitdb/shared/errors";
import type { Caller } from "../../identity/caller.ts";
import { confirmDevice } from "../../identity/confirmation.ts";
import type { AccessPorts, Change } from "../change.ts";
import { extendGrant } from "../grants/extend.ts";
import { grantRequest } from "../grants/start.ts";
import {
  refuseService,
  refuseUnconfirmed,
  requireFreshLogin,
  type Standing,
  standingOf,
} from "../standing.ts";
import { requestDigest } from "./digest.ts";
import { isNoWider } from "./narrower.ts";
import { nextRequestState } from "./request.ts";
import {
  type AskedRequest,
  approverGroups,
  findRequest,
  moveRequest,
  requestSubject,
  unknownRequest,
} from "./row.ts";
import { countedStages, type OpenStage, openStage, stagesOf } from "./stages.ts";
import { termsOf } from "./terms.ts";

export interface Approval {
  /** Shorter than asked, never longer. Absent: as asked. */
  readonly durationMs?: number | undefined;
  /** Narrower than asked, never wider. Absent: as asked. */
  readonly profile?: string | undefined;
  readonly comment: string;
}

/**
 * One approval. The last one that is needed makes the grant, for the shortest of the approved durations and the
 * narrowest of the approved profiles, and vouches for the device that asked.
 * @throws JitdbError `request.unknown`, `access.own_request`, `access.forbidden`, `device.unconfirmed`,
 * `request.decided` (also for a second approval by the same person, and for a request that is not what it was when it
 * was asked), `request.lapsed`, `login.stale`, `usage.duration` for more than was asked, `usage.invalid` for a
 * profile that is not narrower
 */
export async function approve(
  ports: AccessPorts,
  change: Change,
  caller: Caller,
  id: string,
  { durationMs, profile, comment }: Approval,
): Promise<void> {
  const request = await findForDecision(change, caller, id);
  nextRequestState(request, "approve");
  refuseDead(ports, change, request);
  const digest = requestDigest(request);
  if (digest !== request.digest) {
    throw new JitdbError("request.decided", `The request ${id} was changed after it was asked.`);
  }
  const approvedMs = durationMs ?? request.duration_ms;
  if (!Number.isSafeInteger(approvedMs) || approvedMs <= 0 || approvedMs > request.duration_ms) {
    throw new JitdbError(
      "usage.duration",
      `An approval is for ${formatDuration(request.duration_ms)}, as asked, or for less.`,
      { hint: "Leave --for out, or write a shorter time." },
    );
  }
  await refuseBringer(change, caller, request);
  await moveRequest(change, request, "approve");
  const before = await approvalsOf(change, request);
  refuseSecond(caller, request, before);
  const stage = openStage(stagesOf(request), countedStages(before));
  const standing = await standingOf(change.tx, caller);
  const terms = termsOf(ports.config.policies, request);
  requireFreshLogin(standing, terms?.stepUpMs, change.now);
  refuseOtherStage(standing, request, stage);
  refuseWider(ports, request, before, profile);
  const added = await change.tx
    .insertInto("approvals")
    .values({
      request_id: request.id,
      person_id: caller.personId,
      digest,
      duration_ms: approvedMs,
      profile: profile ?? null,
      stage: stage?.index ?? 0,
      comment,
      at: change.now,
    })
    .onConflict((conflict) => conflict.columns(["request_id", "person_id"]).doNothing())
    .returning("request_id")
    .executeTakeFirst();
  if (added === undefined) {
    throw approvedBefore(request);
  }
  await change.record({
    kind: "request.approved",
    ...requestSubject(request, caller.address),
    by: caller.name,
    digest,
    durationMs: approvedMs,
    ...(profile !== undefined && { profile }),
    stage: (stage?.index ?? 0) + 1,
    comment,
  });
  await grantIfEnough(ports, change, caller, request);
}

/**
 * @throws JitdbError `request.unknown`, `access.own_request`, `access.forbidden`, `device.unconfirmed`,
 * `request.decided`, `request.lapsed`, `login.stale`
 */
export async function deny(
  { config }: AccessPorts,
  change: Change,
  caller: Caller,
  id: string,
  reason: string,
): Promise<void> {
  const request = await findForDecision(change, caller, id);
  refuseLapsed(change, request);
  const policy = config.policies.find(({ name }) => name === request.policy);
  requireFreshLogin(await standingOf(change.tx, caller), policy?.stepUpMs, change.now);
  await moveRequest(change, request, "deny", { by: caller.personId, reason });
  await change.record({
    kind: "request.denied",
    ...requestSubject(request, caller.address),
    by: caller.name,
    reason,
  });
}

/** @throws JitdbError `request.unknown` for somebody else's, too, `request.decided`, `request.lapsed` */
export async function withdraw(change: Change, caller: Caller, id: string): Promise<void> {
  await standingOf(change.tx, caller);
  const request = await findRequest(change.tx, id);
  if (request === undefined || request.person_id !== caller.personId) {
    throw unknownRequest(id);
  }
  refuseLapsed(change, request);
  await moveRequest(change, request, "withdraw", { by: caller.personId, reason: null });
  await change.record({ kind: "request.withdrawn", ...requestSubject(request, caller.address) });
}

async function grantIfEnough(
  ports: AccessPorts,
  change: Change,
  caller: Caller,
  request: AskedRequest,
): Promise<void> {
  const approvals = await approvalsOf(change, request);
  if (openStage(stagesOf(request), countedStages(approvals)) !== undefined) {
    return;
  }
  const durationMs = Math.min(...approvals.map(({ duration_ms }) => duration_ms));
  await vouchForAsker(change, caller, request);
  if (request.extends_grant === null) {
    const profile = approvedProfile(request, approvals);
    await grantRequest(ports, change, request, { durationMs, profile, by: caller });
  } else {
    await extendGrant(ports, change, request, { durationMs, by: caller });
  }
}

type GivenApproval = Awaited<ReturnType<typeof approvalsOf>>[number];

async function approvalsOf({ tx }: Change, request: AskedRequest) {
  return await tx
    .selectFrom("approvals")
    .innerJoin("people", "people.id", "approvals.person_id")
    .selectAll("approvals")
    .select(["people.name as person_name", "people.disabled_at"])
    .where("approvals.request_id", "=", request.id)
    // SECURITY: an approval of something else, before the row was edited, is no approval of this.
    .where("approvals.digest", "=", request.digest)
    .orderBy("approvals.at")
    .execute();
}

function approvedProfile(request: AskedRequest, approvals: readonly GivenApproval[]): string {
  // Each was no wider than the one before it.
  return approvals.findLast(({ profile }) => profile !== null)?.profile ?? request.profile;
}

function refuseSecond(
  { personId }: Caller,
  request: AskedRequest,
  approvals: readonly GivenApproval[],
): void {
  if (approvals.some(({ person_id }) => person_id === personId)) {
    throw approvedBefore(request);
  }
}

function approvedBefore({ id }: AskedRequest): JitdbError {
  return new JitdbError("request.decided", `You have already approved the request ${id}.`, {
    hint: "Somebody else has to give the approvals that are missing.",
  });
}

/** SECURITY: who lets a friend into the group could otherwise approve what the group may ask for. */
async function refuseBringer({ tx }: Change, caller: Caller, request: AskedRequest): Promise<void> {
  const groups = JSON.parse(request.through_groups) as string[];
  if (groups.length === 0) {
    return;
  }
  const brought = await tx
    .selectFrom("memberships")
    .select("group_name")
    .where("person_id", "=", request.person_id)
    .where("added_by", "=", caller.personId)
    .where("group_name", "in", groups)
    .executeTakeFirst();
  if (brought !== undefined) {
    throw new JitdbError(
      "access.forbidden",
      `${request.person_name} came into the group ${brought.group_name} through you, and may ask because of it.`,
      { hint: "Somebody else has to approve it." },
    );
  }
}

function refuseOtherStage(
  { groups }: Standing,
  request: AskedRequest,
  stage: OpenStage | undefined,
): void {
  if (stage === undefined || stage.groups.some((group) => groups.includes(group))) {
    return;
  }
  const what = stage.name === undefined ? `stage ${stage.index + 1}` : `the stage ${stage.name}`;
  throw new JitdbError(
    "access.forbidden",
    `On the request ${request.id} it is the turn of ${what}: members of ${stage.groups.join(" or ")} decide.`,
    { hint: "Approve it again when they have." },
  );
}

function refuseWider(
  { config }: AccessPorts,
  request: AskedRequest,
  approvals: readonly GivenApproval[],
  profile: string | undefined,
): void {
  if (profile === undefined) {
    return;
  }
  const profiles = config.databases.get(request.database_name)?.profiles;
  const so = approvedProfile(request, approvals);
  const [one, than] = [profiles?.get(profile), profiles?.get(so)];
  if (
    request.extends_grant !== null ||
    one === undefined ||
    than === undefined ||
    !isNoWider(one, than)
  ) {
    const narrower = [...(profiles?.values() ?? [])]
      .filter((each) => than !== undefined && each.name !== so && isNoWider(each, than))
      .map(({ name }) => name);
    throw new JitdbError("usage.invalid", `${profile} is not narrower than ${so}.`, {
      hint:
        narrower.length === 0
          ? "Leave --profile out; there is no narrower one."
          : `Leave --profile out, or write --profile ${narrower.join(" or --profile ")}.`,
    });
  }
}

async function vouchForAsker(
  { tx, now, record, hint }: Change,
  caller: Caller,
  request: AskedRequest,
): Promise<void> {
  if (await confirmDevice(tx, request.device_id, { by: caller.personId, at: now })) {
    await record({
      kind: "device.confirmed",
      person: request.person_name,
      device: request.device_id,
      address: caller.address,
      by: caller.name,
      how: `approved ${request.id}`,
    });
    hint("device", request.device_id);
  }
}

/** The request, if the caller is one of those who decide on it. */
async function findForDecision(change: Change, caller: Caller, id: string): Promise<AskedRequest> {
  const standing = await standingOf(change.tx, caller);
  const request = await findRequest(change.tx, id);
  if (request === undefined) {
    throw unknownRequest(id);
  }
  // SECURITY: by person, not by device or login: a second session of one's own is still oneself.
  if (request.person_id === caller.personId) {
    throw new JitdbError("access.own_request", `The request ${id} is your own.`, {
      hint: `Ask somebody else to run \`jitdb approve\`, or take it back: \`jitdb withdraw ${id}\`.`,
    });
  }
  refuseStranger(standing, request);
  refuseService(standing, caller);
  refuseUnconfirmed(standing, caller);
  return request;
}

function refuseStranger({ groups, administrator }: Standing, request: AskedRequest): void {
  const approvers = approverGroups(request);
  if (approvers.some((group) => groups.includes(group))) {
    return;
  }
  // Administrators see every request, so they are told who decides; to others it is not there.
  throw administrator
    ? new JitdbError(
        "access.forbidden",
        `Only members of ${approvers.join(", ") || "no group"} decide on the request ${request.id}.`,
      )
    : unknownRequest(request.id);
}

function refuseLapsed({ now }: Change, request: AskedRequest): void {
  // The clock decides, not the sweep.
  if (request.state === "pending" && now >= request.lapses_at) {
    throw new JitdbError("request.lapsed", `The request ${request.id} has lapsed.`);
  }
}

/** What cannot be granted any more, although the sweep has not lapsed it yet. */
function refuseDead({ config }: AccessPorts, change: Change, request: AskedRequest): void {
  refuseLapsed(change, request);
  if (request.person_disabled_at !== null) {
    const message = `The account of ${request.person_name}, who asked, is disabled.`;
    throw new JitdbError("request.lapsed", message);
  }
  if (request.device_revoked_at !== null) {
    throw new JitdbError("request.lapsed", "The device that asked was logged out.");
  }
  if (!config.databases.get(request.database_name)?.profiles.has(request.profile)) {
    throw new JitdbError(
      "database.unknown",
      `${request.database_name} with the profile ${request.profile} is no longer in the configuration.`,
    );
  }
}
