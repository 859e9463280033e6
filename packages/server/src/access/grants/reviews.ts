// Reviews of break-glass: what somebody took in an emergency stays open until somebody else has looked at it and signed.

import { JitdbError } from "@jitdb/shared/errors";
import type { GrantId } from "@jitdb/shared/ids";
import type { PolicyBreakGlass } from "../../config/config.ts";
import { administrators, type Caller } from "../../identity/caller.ts";
import type { Change } from "../change.ts";
import { type AskedRequest, requestSubject } from "../requests/row.ts";
import { refuseService, refuseUnconfirmed, standingOf } from "../standing.ts";

/** Opens the review of a grant, in the grant's own transaction: there is never the one without the other. */
export async function openReview(
  { tx, now, record }: Change,
  request: AskedRequest,
  grant: GrantId,
  rule: PolicyBreakGlass | undefined,
): Promise<void> {
  const reviewers = rule?.reviewGroups ?? [administrators];
  const dueAt = now + (rule?.withinMs ?? 0);
  await tx
    .insertInto("reviews")
    .values({
      grant_id: grant,
      reviewer_groups: JSON.stringify(reviewers),
      due_at: dueAt,
      signed_by: null,
      signed_at: null,
      comment: null,
    })
    .execute();
  await record({
    kind: "review.opened",
    ...requestSubject(request),
    grant,
    reviewers,
    dueAt: new Date(dueAt).toISOString(),
  });
}

/**
 * Signs the review of a grant that has ended, once.
 * @throws JitdbError `grant.unknown` for one that the caller may not review, `access.own_request`, `device.unconfirmed`,
 * `review.not_open` when the grant still runs or somebody has signed before
 */
export async function signReview(
  { tx, now, record, hint }: Change,
  caller: Caller,
  id: string,
  comment: string,
): Promise<void> {
  const standing = await standingOf(tx, caller);
  const review = await tx
    .selectFrom("reviews")
    .innerJoin("grants", "grants.id", "reviews.grant_id")
    .innerJoin("people", "people.id", "grants.person_id")
    .selectAll("reviews")
    .select(["grants.person_id", "grants.state", "grants.device_id", "grants.database_name"])
    .select("people.name as person_name")
    .where("reviews.grant_id", "=", id as GrantId)
    .executeTakeFirst();
  // SECURITY: by person, not by device or login: who broke the glass does not declare it justified.
  if (review?.person_id === caller.personId) {
    throw new JitdbError("access.own_request", `The grant ${id} is your own.`, {
      hint: "Somebody else has to review it with `jitdb review sign`.",
    });
  }
  const reviewers = JSON.parse(review?.reviewer_groups ?? "[]") as string[];
  if (review === undefined || !reviewers.some((group) => standing.groups.includes(group))) {
    throw new JitdbError("grant.unknown", `There is no grant ${id} that you may review.`);
  }
  refuseService(standing, caller);
  refuseUnconfirmed(standing, caller);
  if (review.state === "active") {
    throw new JitdbError(
      "review.not_open",
      `The grant ${id} still runs; review what it was at its end.`,
    );
  }
  const signed = await tx
    .updateTable("reviews")
    .set({ signed_by: caller.personId, signed_at: now, comment })
    .where("grant_id", "=", review.grant_id)
    .where("signed_at", "is", null)
    .returning("grant_id")
    .executeTakeFirst();
  if (signed === undefined) {
    throw new JitdbError("review.not_open", `The review of ${id} was signed already.`);
  }
  await record({
    kind: "review.signed",
    person: review.person_name,
    device: review.device_id,
    database: review.database_name,
    grant: review.grant_id,
    breakGlass: true,
    address: caller.address,
    by: caller.name,
    comment,
    late: now > review.due_at,
  });
  hint("grant", review.grant_id);
}
