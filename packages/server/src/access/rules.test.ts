// What a rule may ask for besides one approval: stages, narrowing, a later start, more time, limits.

import type { PersonId } from "@jitdb/shared/ids";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type AccessFixture,
  createAccessFixture,
  minute,
  policy,
  startOfTime,
} from "./access-fixture.ts";
import { authorizeOpen } from "./authorize.ts";

const hour = 60 * minute;
const plain = { comment: "" };
const stages = [
  { name: "lead", count: 1, groups: ["leads"] },
  { count: 1, groups: ["dba", "leads"] },
];

let fixture: AccessFixture;

async function begin(...policies: ReturnType<typeof policy>[]): Promise<void> {
  await fixture.store.close();
  fixture = await createAccessFixture(policies);
}

beforeEach(async () => {
  fixture = await createAccessFixture();
});
afterEach(async () => {
  await fixture.store.close();
});

/** A request of alice's. */
async function asked(
  fields: Partial<Parameters<AccessFixture["access"]["request"]>[1]> = {},
): Promise<string> {
  const input = {
    database: "prod-orders",
    profile: "read-write",
    durationMs: 30 * minute,
    reason: "ticket 7",
    ...fields,
  };
  return (await fixture.access.request(fixture.caller("alice"), input)).id;
}

/** A grant of alice's that a lead approved or the rule gave. */
async function granted(fields: Parameters<typeof asked>[0] = {}): Promise<string> {
  const { access, caller } = fixture;
  const id = await asked(fields);
  const view = await access.getRequest(caller("alice"), id);
  return view.grantId ?? (await access.approve(caller("bob"), id, plain)).grantId ?? "";
}

async function addTo(name: "alice" | "eve", group_name: string, by?: "bob"): Promise<void> {
  const person_id = `usr_${name}` as PersonId;
  const added_by = by === undefined ? null : (`usr_${by}` as PersonId);
  await fixture.store.db
    .insertInto("memberships")
    .values({ person_id, group_name, added_by })
    .onConflict((conflict) =>
      conflict.columns(["person_id", "group_name"]).doUpdateSet({ added_by }),
    )
    .execute();
}

describe("stages", () => {
  beforeEach(() => begin(policy("staged", { approval: { kind: "stages", stages } })));

  test("are decided in order, each by its own groups, and one person counts once in all", async () => {
    const { access, caller } = fixture;
    await addTo("eve", "dba");
    const id = await asked();
    await expect(access.approve(caller("eve"), id, plain)).rejects.toMatchObject({
      code: "access.forbidden",
      message: expect.stringContaining("the stage lead: members of leads decide"),
    });
    const first = await access.approve(caller("bob"), id, plain);
    expect(first).toMatchObject({ state: "pending", canDecide: false });
    expect(first.approvals.stages.map(({ missing }) => missing)).toEqual([0, 1]);
    await expect(access.approve(caller("bob"), id, plain)).rejects.toMatchObject({
      code: "request.decided",
    });
    expect(await access.approve(caller("eve"), id, plain)).toMatchObject({ state: "approved" });
    expect((await fixture.records("request.approved")).map(({ stage }) => stage)).toEqual([1, 2]);
    expect(await fixture.records("request.refused")).toHaveLength(2);
  });

  test("do not count the approval of somebody who was disabled since", async () => {
    const { access, caller } = fixture;
    await addTo("eve", "dba");
    const id = await asked();
    await access.approve(caller("bob"), id, plain);
    await fixture.disable("bob");
    await expect(access.approve(caller("eve"), id, plain)).rejects.toMatchObject({
      code: "access.forbidden",
    });
    await expect(access.approve(caller("bob"), id, plain)).rejects.toMatchObject({
      code: "login.disabled",
    });
    // Another lead takes the first stage; then the second one is open.
    expect(await access.approve(caller("carol"), id, plain)).toMatchObject({ state: "pending" });
    expect(await access.approve(caller("eve"), id, plain)).toMatchObject({ state: "approved" });
  });

  test("change the state once when both last approvals come at once (invariant 44)", async () => {
    const { access, caller } = fixture;
    const id = await asked();
    await access.approve(caller("bob"), id, plain);
    await addTo("eve", "dba");
    const both = await Promise.allSettled([
      access.approve(caller("carol"), id, plain),
      access.approve(caller("eve"), id, plain),
      access.approve(caller("eve"), id, plain),
    ]);
    expect(both.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    expect(await fixture.records("grant.started")).toHaveLength(1);
  });
});

describe("an approver", () => {
  test("through whom the requester came into the group does not decide (invariant 5)", async () => {
    const { access, caller } = fixture;
    await addTo("alice", "developers", "bob");
    const id = await asked({ profile: "read-only" });
    await expect(access.approve(caller("bob"), id, plain)).rejects.toMatchObject({
      code: "access.forbidden",
      message: "alice came into the group developers through you, and may ask because of it.",
    });
    expect(await access.getRequest(caller("bob"), id)).toMatchObject({ canDecide: false });
    expect(await access.approve(caller("carol"), id, plain)).toMatchObject({ state: "approved" });
  });

  test("may narrow the profile, and nobody after them widens it", async () => {
    await begin(policy("two", { approval: { kind: "approvals", count: 2, groups: ["leads"] } }));
    const { access, caller } = fixture;
    const databases = fixture.ports.config.databases as Map<string, never>;
    const orders = fixture.ports.config.databases.get("prod-orders");
    const profiles = new Map(
      [...(orders?.profiles ?? [])].map(([name, each]) => [name, { ...each, privileges: name }]),
    );
    databases.set("prod-orders", { ...orders, profiles } as never);
    const id = await asked();
    const approve = (name: "bob" | "carol", profile?: string) =>
      access.approve(caller(name), id, { comment: "", profile });
    await expect(approve("bob", "admin")).rejects.toMatchObject({
      code: "usage.invalid",
      message: "admin is not narrower than read-write.",
      hint: "Leave --profile out, or write --profile read-only.",
    });
    await expect(approve("bob", "none")).rejects.toMatchObject({ code: "usage.invalid" });
    await approve("bob", "read-only");
    await expect(approve("carol", "read-write")).rejects.toMatchObject({ code: "usage.invalid" });
    const { grantId } = await approve("carol");
    expect(await access.getGrant(caller("alice"), grantId ?? "")).toMatchObject({
      profile: "read-only",
    });
    expect(await fixture.records("user.planned")).toMatchObject([{ profile: "read-only" }]);
  });
});

describe("a later start", () => {
  const startsAt = startOfTime + 2 * hour;

  test("begins when it was asked for; until then nothing opens, also when the clock steps back (invariant 6)", async () => {
    const { access, caller, clock, store } = fixture;
    const id = await granted({ profile: "read-only", startsAt });
    const view = await access.getGrant(caller("alice"), id);
    expect(view).toMatchObject({
      startsAt: "2026-01-01T02:00:00.000Z",
      endsAt: "2026-01-01T02:30:00.000Z",
    });
    const open = () => authorizeOpen(store, clock, caller("alice"), id);
    clock.ms = startsAt - 1;
    await expect(open()).rejects.toMatchObject({
      code: "grant.not_started",
      message: "The grant for prod-orders begins at 2026-01-01T02:00:00.000Z.",
    });
    clock.ms = startsAt;
    expect(await open()).toMatchObject({ id });
    clock.ms = startOfTime;
    await expect(open()).rejects.toMatchObject({ code: "grant.not_started" });
    clock.ms = startsAt + 30 * minute;
    await expect(open()).rejects.toMatchObject({ code: "grant.expired" });
  });

  test("that was approved late ends when it would have ended, and lapses at that time", async () => {
    const { access, caller, clock } = fixture;
    const late = await asked({ profile: "read-only", startsAt });
    const never = await asked({ profile: "read-only", startsAt: startsAt + 1 });
    clock.ms = startsAt + 20 * minute;
    const { grantId } = await access.approve(caller("bob"), late, plain);
    expect(await access.getGrant(caller("alice"), grantId ?? "")).toMatchObject({
      startsAt: "2026-01-01T02:20:00.000Z",
      endsAt: "2026-01-01T02:30:00.000Z",
    });
    clock.ms = startsAt + 31 * minute;
    await expect(access.approve(caller("bob"), never, plain)).rejects.toMatchObject({
      code: "request.lapsed",
    });
  });

  test.each([0, -1, 31 * 24 * 60 * minute, 0.5, Number.NaN])(
    "%s ms from now is refused",
    async (ms) => {
      await expect(asked({ startsAt: startOfTime + ms })).rejects.toMatchObject({
        code: "usage.invalid",
        hint: expect.stringContaining("--at 22:00"),
      });
      expect(await fixture.records("request.refused")).toHaveLength(1);
    },
  );

  test("is part of what is approved (invariant 5)", async () => {
    const { access, caller, store } = fixture;
    const id = await asked({ profile: "read-only", startsAt });
    await store.db
      .updateTable("requests")
      .set({ starts_at: startsAt + 1 })
      .execute();
    await expect(access.approve(caller("bob"), id, plain)).rejects.toMatchObject({
      code: "request.decided",
    });
  });

  test("can be given back before it comes, by its owner alone", async () => {
    const { access, caller } = fixture;
    const id = await granted({ profile: "read-only", startsAt });
    await expect(access.release(caller("dora"), id)).rejects.toMatchObject({
      code: "grant.unknown",
    });
    expect(await access.release(caller("alice"), id)).toMatchObject({
      state: "ended",
      endReason: "It was given back.",
    });
    await expect(access.release(caller("alice"), id)).rejects.toMatchObject({
      code: "grant.revoked",
    });
  });
});

describe("more time", () => {
  const extend = (id: string, fields: { durationMs?: number; endsAt?: number } = {}) =>
    fixture.access.extend(fixture.caller("alice"), id, {
      reason: "",
      endsAt: startOfTime + 30 * minute,
      ...fields,
    });

  test("is given at once where the rule says so, once for the same call sent twice", async () => {
    await begin(
      policy("more", { extend: { times: 2, byMs: 20 * minute, approval: { kind: "automatic" } } }),
    );
    const id = await granted();
    const both = await Promise.allSettled([extend(id), extend(id)]);
    expect(both.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    await expect(extend(id)).rejects.toMatchObject({
      code: "request.decided",
      message: `The grant ${id} runs until 2026-01-01T00:50:00.000Z by now.`,
    });
    await extend(id, { durationMs: 5 * minute, endsAt: startOfTime + 50 * minute });
    await expect(extend(id, { endsAt: startOfTime + 55 * minute })).rejects.toMatchObject({
      code: "policy.limit",
      message: "The policy more extends a grant 2 times, and this one was.",
    });
    expect(await fixture.access.getGrant(fixture.caller("alice"), id)).toMatchObject({
      endsAt: "2026-01-01T00:55:00.000Z",
    });
    expect(await fixture.records("grant.extended")).toHaveLength(2);
  });

  test("waits for its own approvals, and for a grant that has ended it comes too late", async () => {
    const approval = { kind: "approvals", count: 1, groups: ["leads"] } as const;
    await begin(policy("more", { extend: { times: 3, byMs: 20 * minute, approval } }));
    const { access, caller, clock } = fixture;
    const id = await granted();
    const first = await extend(id, { durationMs: 10 * minute });
    expect(first).toMatchObject({ state: "pending", extendsGrant: id });
    expect((await extend(id, { durationMs: 10 * minute })).id).toBe(first.id);
    await access.approve(caller("carol"), first.id, { comment: "", durationMs: 5 * minute });
    expect(await access.getGrant(caller("alice"), id)).toMatchObject({
      endsAt: "2026-01-01T00:35:00.000Z",
    });
    const second = await extend(id, { endsAt: startOfTime + 35 * minute });
    clock.ms = startOfTime + 35 * minute;
    await expect(access.approve(caller("carol"), second.id, plain)).rejects.toMatchObject({
      code: "request.lapsed",
    });
    expect((await access.sweep()).ended).toHaveLength(1);
  });

  test("does not lead out of the policy's hours", async () => {
    const zone = "Europe/Berlin";
    // 01:00 there when the tests begin.
    const hours = [{ days: ["thu"], from: "00:00", to: "01:40", zone }] as const;
    await begin(
      policy("night", {
        hours,
        extend: { times: 2, byMs: hour, approval: { kind: "automatic" } },
      }),
    );
    const id = await granted();
    await expect(extend(id, { durationMs: 11 * minute })).rejects.toMatchObject({
      code: "policy.limit",
      message:
        "With 11m more the grant would leave the hours of the policy night: thu 00:00–01:40 Europe/Berlin.",
    });
    expect(await extend(id, { durationMs: 10 * minute })).toMatchObject({ state: "approved" });
  });

  test("is refused without a clause, over the clause, to others, and after the end", async () => {
    const { access, caller, clock } = fixture;
    const without = await granted({ profile: "read-only" });
    await expect(extend(without)).rejects.toMatchObject({
      code: "policy.limit",
      message: "The policy prod-read extends no grants.",
    });
    await expect(
      access.extend(caller("anna"), without, { reason: "", endsAt: startOfTime }),
    ).rejects.toMatchObject({ code: "grant.unknown" });
    await begin(
      policy("more", { extend: { times: 2, byMs: minute, approval: { kind: "automatic" } } }),
    );
    const id = await granted();
    await expect(extend(id, { durationMs: minute + 1 })).rejects.toMatchObject({
      code: "policy.duration",
    });
    fixture.clock.ms = startOfTime + 30 * minute;
    await expect(extend(id)).rejects.toMatchObject({ code: "grant.expired" });
    expect(clock.ms).toBe(startOfTime);
  });
});

describe("limits per day", () => {
  test("count grants in any 24 hours, and name the policy and when more is allowed", async () => {
    await begin(policy("few", { perDay: { grants: 2 }, approval: { kind: "automatic" } }));
    await granted();
    fixture.clock.ms += hour;
    await granted();
    fixture.clock.ms += hour;
    await expect(granted()).rejects.toMatchObject({
      code: "policy.limit",
      message: "The policy few allows 2 grants in 24 hours, and there were as many.",
      hint: "The first of them counts no longer from 2026-01-02T00:00:00.000Z on.",
    });
    fixture.clock.ms = startOfTime + 24 * hour;
    await granted();
  });

  test("hold for requests that waited beside each other, too", async () => {
    await begin(policy("few", { perDay: { grants: 1 } }));
    const { access, caller } = fixture;
    const [one, two] = [await asked(), await asked({ reason: "another" })];
    await access.approve(caller("bob"), one, plain);
    await expect(access.approve(caller("bob"), two, plain)).rejects.toMatchObject({
      code: "policy.limit",
    });
    expect(await access.getRequest(caller("alice"), two)).toMatchObject({ state: "pending" });
  });

  test("count time that was used, and not what was given back", async () => {
    await begin(
      policy("short", { perDay: { timeMs: 40 * minute }, approval: { kind: "automatic" } }),
    );
    const id = await granted();
    fixture.clock.ms += 10 * minute;
    await expect(granted()).rejects.toMatchObject({
      code: "policy.limit",
      hint: "Ask for less with --for 10m.",
    });
    await fixture.access.release(fixture.caller("alice"), id);
    await granted();
  });
});
