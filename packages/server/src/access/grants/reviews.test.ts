// Break-glass: access at once, by rules of its own, with a review that somebody else has to sign.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AccessFixture, createAccessFixture, minute, policy } from "../access-fixture.ts";
import { isReviewerOf } from "./views.ts";

const hour = 60 * minute;

let fixture: AccessFixture;

async function begin(...policies: ReturnType<typeof policy>[]): Promise<void> {
  await fixture?.store.close();
  fixture = await createAccessFixture(policies);
}

afterEach(async () => {
  await fixture.store.close();
});

/** A request of alice's. */
async function asked(fields: { breakGlass?: boolean; reason?: string } = {}): Promise<string> {
  const input = {
    database: "prod-orders",
    profile: "read-write",
    durationMs: 30 * minute,
    reason: "ticket 7",
    ...fields,
  };
  return (await fixture.access.request(fixture.caller("alice"), input)).id;
}

describe("break-glass", () => {
  const rules = [
    policy("everyday"),
    policy("emergency", {
      approval: { kind: "automatic" },
      breakGlass: { reviewGroups: ["leads"], withinMs: 24 * hour },
    }),
  ];
  beforeEach(() => begin(...rules));

  test("opens at once, is marked everywhere, and stays open until somebody else has signed", async () => {
    const { access, caller, clock } = fixture;
    const request = await access.getRequest(caller("alice"), await asked({ breakGlass: true }));
    const id = request.grantId ?? "";
    const grant = () => access.getGrant(caller("bob"), id);
    expect(await grant()).toMatchObject({ review: { groups: ["leads"], signedBy: null } });
    for (const kind of ["request.created", "request.granted", "grant.started"] as const) {
      expect(await fixture.records(kind)).toMatchObject([{ breakGlass: true }]);
    }
    expect(await fixture.records("review.opened")).toMatchObject([
      { grant: id, reviewers: ["leads"] },
    ]);
    expect(await access.describeGrant(caller("bob"), id)).toMatchObject({
      request: { breakGlass: true, reason: "ticket 7" },
    });
    expect(await isReviewerOf(fixture.store.db, caller("bob"), id)).toBe(true);
    expect(await isReviewerOf(fixture.store.db, caller("anna"), id)).toBe(false);
    await expect(access.review(caller("bob"), id, "")).rejects.toMatchObject({
      code: "review.not_open",
    });
    clock.ms += 30 * minute;
    await access.sweep();
    await expect(access.review(caller("alice"), id, "")).rejects.toMatchObject({
      code: "access.own_request",
    });
    await expect(access.review(caller("anna"), id, "")).rejects.toMatchObject({
      code: "grant.unknown",
    });
    const open = { scope: "all", openReviews: true, limit: 10 } as const;
    expect((await access.listGrants(caller("bob"), open)).rows.map((row) => row.id)).toEqual([id]);
    const signing = await Promise.allSettled([
      access.review(caller("bob"), id, "it was right"),
      access.review(caller("carol"), id, "it was right"),
    ]);
    expect(signing.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await fixture.records("review.signed")).toMatchObject([
      { late: false, comment: "it was right" },
    ]);
    expect((await access.listGrants(caller("bob"), open)).rows).toEqual([]);
  });

  test("needs a reason, a confirmed device, and a rule of its own", async () => {
    await expect(asked({ breakGlass: true, reason: " " })).rejects.toMatchObject({
      code: "usage.invalid",
      message: "The policy emergency wants a reason for read-write on prod-orders.",
    });
    await fixture.addDevice("alice", "new-laptop");
    const input = { database: "test", durationMs: minute, reason: "fire", breakGlass: true };
    await expect(
      fixture.access.request(fixture.caller("alice", "new-laptop"), input),
    ).rejects.toMatchObject({ code: "device.unconfirmed" });
    await begin(policy("everyday"));
    await expect(asked({ breakGlass: true })).rejects.toMatchObject({ code: "policy.no_match" });
    expect(await fixture.records("grant.started")).toEqual([]);
  });

  test("does not answer who asked for ordinary access", async () => {
    const id = await asked();
    expect(await fixture.access.getRequest(fixture.caller("alice"), id)).toMatchObject({
      state: "pending",
      policy: "everyday",
    });
  });
});
