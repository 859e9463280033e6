// Rules that change while requests wait and grants run.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Config, Policy } from "../config/config.ts";
import { type AccessFixture, createAccessFixture, minute, policy } from "./access-fixture.ts";

const oneLead = policy("write", { profiles: ["read-write"] });
const free = policy("free", { profiles: ["read-only"], approval: { kind: "automatic" } });

let fixture: AccessFixture;

beforeEach(async () => {
  fixture = await createAccessFixture([oneLead, free]);
});
afterEach(() => fixture.store.close());

function useRules(
  policies: readonly Policy[],
  databases: Config["databases"] = fixture.ports.config.databases,
): void {
  fixture.access.useRules({ policies, databases });
}

async function ask(profile: string, reason = "") {
  return await fixture.access.request(fixture.caller("alice"), {
    database: "prod-orders",
    profile,
    durationMs: 30 * minute,
    reason,
  });
}

const approval = { comment: "" };

describe("with other rules", () => {
  test("what is asked from now on is decided by them", async () => {
    expect((await ask("read-write")).state).toBe("pending");
    useRules([{ ...oneLead, name: "open", approval: { kind: "automatic" } }]);
    expect((await ask("read-write", "another")).state).toBe("approved");
    await expect(ask("read-only")).rejects.toMatchObject({ code: "policy.no_match" });
    const [{ profiles } = { profiles: [] }] = await fixture.access.databasesFor(
      fixture.caller("alice"),
    );
    expect(profiles.map(({ name }) => name)).toEqual(["read-write"]);
  });

  test("a request that waits keeps the stages that it was given", async () => {
    const { id } = await ask("read-write");
    useRules([{ ...oneLead, approval: { kind: "approvals", count: 2, groups: ["admins"] } }]);
    const approved = await fixture.access.approve(fixture.caller("bob"), id, approval);
    expect(approved).toMatchObject({ state: "approved", policy: "write" });
  });

  test("a grant that runs keeps its end, also when policy and database are gone", async () => {
    const { grantId } = await ask("read-only");
    const grant = await fixture.access.getGrant(fixture.caller("alice"), grantId ?? "");
    useRules([], new Map());
    expect(await fixture.access.getGrant(fixture.caller("alice"), grantId ?? "")).toEqual(grant);
    fixture.clock.ms += 30 * minute - 1;
    expect((await fixture.access.sweep()).ended).toEqual([]);
    fixture.clock.ms += 1;
    expect((await fixture.access.sweep()).ended).toHaveLength(1);
  });

  test("the same request again is granted under the rule of today, and counts for it", async () => {
    const { id } = await ask("read-write");
    const perDay = { grants: 1 };
    useRules([{ ...oneLead, name: "open", approval: { kind: "automatic" }, perDay }]);
    expect(await ask("read-write")).toMatchObject({ id, state: "approved", policy: "open" });
    expect(await fixture.records("request.granted")).toMatchObject([{ policy: "open" }]);
    await expect(ask("read-write", "more")).rejects.toMatchObject({ code: "policy.limit" });
  });
});

test("of many who ask while the rules change, each is decided wholly by the old or by the new ones", async () => {
  useRules([{ ...free, name: "old", maxDurationMs: 30 * minute, drainMs: minute }]);
  const random = fixture.ports.random as { bytes: (length: number) => Uint8Array };
  const bytes = random.bytes.bind(random);
  let requests = 0;
  // In the middle of a change: the policy has decided, and its grant is not there yet.
  random.bytes = (length) => {
    requests += 1;
    if (requests === 10) {
      useRules([{ ...free, name: "new", profiles: ["read-*"] }]);
    }
    return bytes(length);
  };
  const views = await Promise.all(
    Array.from({ length: 20 }, (_, index) => ask("read-only", `reason ${index}`)),
  );
  const started = await fixture.records("grant.started");
  const policies = views.map(({ policy: name }) => name);
  expect(new Set(policies)).toEqual(new Set(["old", "new"]));
  expect(started.map(({ drainMs }) => (drainMs === minute ? "old" : "new"))).toEqual(policies);
});

describe("a policy that is gone", () => {
  test("still wants the fresh login that it wanted when the request was made", async () => {
    useRules([{ ...oneLead, stepUpMs: minute }]);
    const { id } = await ask("read-write");
    useRules([]);
    await expect(fixture.access.approve(fixture.caller("bob"), id, approval)).rejects.toMatchObject(
      { code: "login.stale" },
    );
  });

  test("still limits the day, and gives the soft end that was asked for", async () => {
    useRules([{ ...oneLead, perDay: { grants: 1 }, drainMs: minute }]);
    const [first, second] = [await ask("read-write", "one"), await ask("read-write", "two")];
    useRules([]);
    await fixture.access.approve(fixture.caller("bob"), first.id, approval);
    expect(await fixture.records("grant.started")).toMatchObject([{ drainMs: minute }]);
    await expect(
      fixture.access.approve(fixture.caller("bob"), second.id, approval),
    ).rejects.toMatchObject({ code: "policy.limit" });
  });

  test("still has its reviewers", async () => {
    const breakGlass = { reviewGroups: ["leads"], withinMs: minute };
    useRules([{ ...oneLead, breakGlass }]);
    const { id } = await fixture.access.request(fixture.caller("alice"), {
      database: "prod-orders",
      profile: "read-write",
      durationMs: minute,
      reason: "all is down",
      breakGlass: true,
    });
    useRules([]);
    await fixture.access.approve(fixture.caller("bob"), id, approval);
    expect(await fixture.records("review.opened")).toMatchObject([{ reviewers: ["leads"] }]);
  });

  test.each([
    ["is gone", [], "policy.limit", "The policy free is no longer in the configuration"],
    [
      "covers the profile no longer",
      [
        {
          ...free,
          profiles: ["admin"],
          extend: { times: 1, byMs: minute, approval: free.approval },
        },
      ],
      "policy.no_match",
      "The policy free no longer lets you have read-only on prod-orders.",
    ],
  ] as const)("or %s gives no more time", async (_title, policies, code, message) => {
    const extend = { times: 1, byMs: minute, approval: free.approval };
    useRules([{ ...free, extend }]);
    const { grantId } = await ask("read-only");
    const alice = fixture.caller("alice");
    const { endsAt } = await fixture.access.getGrant(alice, grantId ?? "");
    useRules(policies);
    await expect(
      fixture.access.extend(alice, grantId ?? "", { reason: "", endsAt: Date.parse(endsAt) }),
    ).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });

  test("is not there for those either who have left its group", async () => {
    const extend = { times: 1, byMs: minute, approval: free.approval };
    useRules([{ ...free, extend }]);
    const { grantId } = await ask("read-only");
    const alice = fixture.caller("alice");
    const { endsAt } = await fixture.access.getGrant(alice, grantId ?? "");
    await fixture.store.db
      .deleteFrom("memberships")
      .where("person_id", "=", alice.personId)
      .execute();
    await expect(
      fixture.access.extend(alice, grantId ?? "", { reason: "", endsAt: Date.parse(endsAt) }),
    ).rejects.toMatchObject({ code: "policy.no_match" });
  });
});

test("nothing is approved on a database that nobody may ask for any more", async () => {
  const { id } = await ask("read-write");
  useRules([oneLead], new Map());
  await expect(fixture.access.approve(fixture.caller("bob"), id, approval)).rejects.toMatchObject({
    code: "database.unknown",
  });
  expect((await fixture.access.deny(fixture.caller("bob"), id, "gone")).state).toBe("denied");
});
