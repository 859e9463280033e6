// Several doing the same thing at once change the state once (invariant 44).

import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AccessFixture, createAccessFixture, minute, policy } from "./access-fixture.ts";
import type { EndedGrant } from "./grants/end.ts";

let fixture: AccessFixture;
let asked = 0;

beforeAll(async () => {
  fixture = await createAccessFixture([
    policy("one", { profiles: ["read-only"] }),
    policy("two", {
      profiles: ["read-write"],
      approval: { kind: "approvals", count: 2, groups: ["leads"] },
    }),
  ]);
});
afterAll(async () => {
  await fixture.store.close();
});

async function pending(profile = "read-only"): Promise<string> {
  asked += 1;
  const input = { database: "prod-orders", profile, durationMs: minute, reason: `ticket ${asked}` };
  return (await fixture.access.request(fixture.caller("alice"), input)).id;
}

/** Everything that can happen to a request, by name. */
const actions = {
  bobApproves: (id: string) => fixture.access.approve(fixture.caller("bob"), id, { comment: "" }),
  bobApprovesAgain: (id: string) =>
    fixture.access.approve(fixture.caller("bob"), id, { comment: "" }),
  carolApproves: (id: string) =>
    fixture.access.approve(fixture.caller("carol"), id, { comment: "" }),
  carolDenies: (id: string) => fixture.access.deny(fixture.caller("carol"), id, "no"),
  aliceWithdraws: (id: string) => fixture.access.withdraw(fixture.caller("alice"), id),
  aliceApproves: (id: string) =>
    fixture.access.approve(fixture.caller("alice"), id, { comment: "" }),
  sweep: () => fixture.access.sweep(),
  sweepAgain: () => fixture.access.sweep(),
} as const;

type Action = keyof typeof actions;
const names = Object.keys(actions) as Action[];

describe("at once", () => {
  test("whatever comes together decides a request once, with one record and one grant at the most", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray(names, { minLength: 2 }),
        fc.constantFrom(1, 2),
        fc.array(fc.boolean(), { minLength: names.length, maxLength: names.length }),
        async (order, needed, waits) => {
          const id = await pending(needed === 1 ? "read-only" : "read-write");
          const outcomes = await Promise.allSettled(
            order.map(async (name, index) => {
              // Some start a turn of the loop later than others.
              if (waits[index] === true) {
                await new Promise(setImmediate);
              }
              await actions[name](id);
              return name;
            }),
          );
          const won = outcomes.flatMap((outcome) =>
            outcome.status === "fulfilled" ? [outcome.value] : [],
          );
          await expectOneDecision(id, needed, won);
        },
      ),
      { numRuns: 60 },
    );
  });

  test("two approvals by the same person count as one", async () => {
    const id = await pending("read-write");
    const outcomes = await Promise.allSettled([actions.bobApproves(id), actions.bobApproves(id)]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    const { access, caller } = fixture;
    expect(await access.getRequest(caller("alice"), id)).toMatchObject({ state: "pending" });
    await actions.aliceWithdraws(id);
  });

  test("two sweeps and two revocations end a grant once", async () => {
    const { access, caller, clock, store } = fixture;
    const revoked = await actions.bobApproves(await pending());
    const outcomes = await Promise.allSettled(
      (["alice", "dora"] as const).map((name) =>
        access.revoke(caller(name), revoked.grantId ?? "", name),
      ),
    );
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);

    const due = await actions.bobApproves(await pending());
    clock.ms += minute;
    const sweeps = await Promise.all([access.sweep(), access.sweep(), access.sweep()]);
    const ended: EndedGrant[] = sweeps.flatMap((swept) => swept.ended);
    expect(ended.filter(({ grantId }) => grantId === due.grantId)).toHaveLength(1);
    const records = await fixture.records("grant.ended");
    for (const { grantId } of [revoked, due]) {
      expect(records.filter(({ grant }) => grant === grantId)).toHaveLength(1);
    }
    const active = store.db.selectFrom("grants").selectAll().where("state", "=", "active");
    expect(await active.execute()).toEqual([]);
  });
});

async function expectOneDecision(
  id: string,
  needed: number,
  won: readonly Action[],
): Promise<void> {
  const { access, caller, store } = fixture;
  const { state, approvals } = await access.getRequest(caller("alice"), id);
  const grants = (await store.db.selectFrom("grants").selectAll().execute()).filter(
    ({ request_id }) => request_id === id,
  );
  const decisions = (await fixture.records()).filter(
    (event) =>
      "request" in event &&
      event.request === id &&
      ["request.granted", "request.denied", "request.withdrawn"].includes(event.kind),
  );
  expect(won).not.toContain("aliceApproves");
  expect(decisions).toHaveLength(state === "pending" ? 0 : 1);
  expect(grants).toHaveLength(state === "approved" ? 1 : 0);
  expect(approvals.given.length).toBe(won.filter((name) => name.includes("Approves")).length);
  expect(state === "approved").toBe(approvals.given.length >= needed);
  expect(won.includes("carolDenies")).toBe(state === "denied");
  expect(won.includes("aliceWithdraws")).toBe(state === "withdrawn");
  if (state === "pending") {
    // Leaves nothing behind that would count against the person's limit in the next run.
    await access.withdraw(caller("alice"), id);
  }
}
