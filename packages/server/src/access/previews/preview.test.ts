import type { DeviceId, PersonId } from "@jitdb/shared/ids";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AccessFixture, createAccessFixture, minute, policy } from "../access-fixture.ts";
import { AccessService } from "../service.ts";
import { canComplete } from "./approvers.ts";
import { waitLimits } from "./usual-wait.ts";

let fixture: AccessFixture;
beforeEach(async () => {
  fixture = await createAccessFixture();
});
afterEach(async () => {
  await fixture.store.close();
});

const toRead = { database: "prod-orders", durationMs: 30 * minute, reason: "ticket 7" };
const toWrite = { ...toRead, profile: "read-write" };
const preview = (input: Parameters<AccessService["preview"]>[1] = toRead) =>
  fixture.access.preview(fixture.caller("alice"), input);

const rowsOf = async (table: "requests" | "grants" | "ephemeral_users") =>
  await fixture.store.db.selectFrom(table).selectAll().execute();

describe("a preview of a request", () => {
  test("says which rule decides, who could approve, what the grant may and what would be done in the database", async () => {
    expect(await preview()).toEqual({
      database: "prod-orders",
      profile: "read-only",
      durationSeconds: 1800,
      policy: "prod-read",
      privileges: "read-only on prod-orders",
      leavesTraces: [],
      startsAt: null,
      stages: [
        {
          name: null,
          groups: ["leads"],
          needed: 1,
          approvers: ["bob", "carol"],
          approverCount: 2,
        },
      ],
      enough: true,
      vouching: false,
      lapsesAt: "2026-01-02T00:00:00.000Z",
      usualWait: null,
      review: null,
      waiting: null,
      statements: ["make alice a user of prod-orders with read-only"],
      problem: null,
    });
  });

  test("changes nothing, and tells nobody: no request, no grant, no user, no record, no hint", async () => {
    await preview();
    await preview({ ...toRead, database: "test" });
    expect(await rowsOf("requests")).toEqual([]);
    expect(await rowsOf("grants")).toEqual([]);
    expect(await rowsOf("ephemeral_users")).toEqual([]);
    expect(await fixture.records()).toEqual([]);
    expect(fixture.hints).toEqual([]);
  });

  test("of what would be granted at once names nobody, and says who would look at an emergency", async () => {
    expect(await preview({ ...toRead, database: "test" })).toMatchObject({
      policy: "test-free",
      stages: [],
      lapsesAt: null,
      usualWait: null,
    });
    const emergency = policy("emergency", {
      approval: { kind: "automatic" },
      breakGlass: { reviewGroups: ["security"], withinMs: 60 * minute },
    });
    const access = new AccessService({
      ...fixture.ports,
      config: { ...fixture.ports.config, policies: [emergency] },
    });
    expect(
      await access.preview(fixture.caller("alice"), { ...toRead, breakGlass: true }),
    ).toMatchObject({
      policy: "emergency",
      review: { groups: ["security"], withinSeconds: 3600 },
    });
  });

  test("from a device that nobody confirmed asks for an administrator, whatever the rule says (invariant 2)", async () => {
    await fixture.addDevice("alice", "phone");
    const caller = fixture.caller("alice", "phone");
    expect(await fixture.access.preview(caller, { ...toRead, database: "test" })).toMatchObject({
      vouching: true,
      stages: [{ groups: ["admins"], needed: 1, approvers: ["dora"] }],
    });
  });

  test("refuses in the very words of the request itself, and that is on record (invariants 18 and 27)", async () => {
    const { access, caller } = fixture;
    const refused = [
      ["eve", toRead],
      ["eve", { ...toRead, database: "prod-people" }],
      ["eve", { ...toRead, database: "no-such" }],
      ["alice", { ...toRead, durationMs: 120 * minute }],
      ["alice", { ...toWrite, reason: "" }],
      ["alice", { ...toRead, breakGlass: true }],
      ["alice", { ...toRead, startsAt: 1 }],
    ] as const;
    for (const [name, input] of refused) {
      const said = (work: Promise<unknown>) =>
        work.then(
          () => "nothing",
          ({ code, message, hint }) => ({ code, message, hint }),
        );
      const asked = await said(access.request(caller(name), input));
      expect(asked).toHaveProperty("code");
      expect(await said(access.preview(caller(name), input))).toEqual(asked);
    }
    const records = await fixture.records("request.refused");
    expect(records.filter(({ dryRun }) => dryRun === true)).toHaveLength(refused.length);
    expect(records).toHaveLength(2 * refused.length);
  });

  test("names the same request that waits already", async () => {
    const { id } = await fixture.access.request(fixture.caller("alice"), toRead);
    expect(await preview()).toMatchObject({ waiting: id });
    expect(await preview({ ...toRead, reason: "another" })).toMatchObject({ waiting: null });
  });

  test("says why there is nothing to show of a database that does not answer", async () => {
    const problem = "prod-orders cannot be reached at the moment.";
    const access = new AccessService({
      ...fixture.ports,
      describeCreation: async () => ({ problem }),
    });
    expect(await access.preview(fixture.caller("alice"), toRead)).toMatchObject({
      policy: "prod-read",
      statements: [],
      problem,
    });
  });
});

describe("who could approve", () => {
  const approvers = async () => (await preview()).stages[0]?.approvers;
  const store = () => fixture.store.db;

  test("is nobody who is disabled, has no confirmed device, or is a service", async () => {
    await fixture.disable("bob");
    expect(await approvers()).toEqual(["carol"]);
    await store()
      .updateTable("devices")
      .set({ confirmed_at: null })
      .where("id", "=", "carol" as DeviceId)
      .execute();
    expect(await approvers()).toEqual([]);
  });

  test("is neither who asks, nor through whom they came into the group that lets them ask (invariant 5)", async () => {
    const add = (person: string, group_name: string, added_by: string | null) =>
      store()
        .insertInto("memberships")
        .values({
          person_id: person as PersonId,
          group_name,
          added_by: added_by as PersonId | null,
        })
        .execute();
    await add("usr_alice", "leads", "usr_carol");
    expect(await approvers()).toEqual(["bob", "carol"]);
    await store()
      .updateTable("memberships")
      .set({ added_by: "usr_bob" as PersonId })
      .where("person_id", "=", "usr_alice" as PersonId)
      .where("group_name", "=", "developers")
      .execute();
    expect(await approvers()).toEqual(["carol"]);
    const { id } = await fixture.access.request(fixture.caller("alice"), toRead);
    await expect(
      fixture.access.approve(fixture.caller("bob"), id, { comment: "" }),
    ).rejects.toMatchObject({ code: "access.forbidden" });
    await fixture.access.approve(fixture.caller("carol"), id, { comment: "" });
  });
});

describe("the people who could approve all stages", () => {
  const stage = (needed: number, ...approvers: string[]) => ({ needed, approvers });

  test("are enough only where nobody has to count twice", () => {
    expect(canComplete([])).toBe(true);
    expect(canComplete([stage(1, "bob")])).toBe(true);
    expect(canComplete([stage(2, "bob")])).toBe(false);
    expect(canComplete([stage(1, "bob"), stage(1, "bob", "carol")])).toBe(true);
    expect(canComplete([stage(1, "bob"), stage(1, "bob")])).toBe(false);
    expect(canComplete([stage(1, "bob", "carol"), stage(2, "bob", "carol")])).toBe(false);
    expect(canComplete([stage(1, "bob"), stage(1, "carol", "dora", "eve"), stage(1, "bob")])).toBe(
      false,
    );
  });

  test("are told as too few in a preview", async () => {
    await fixture.disable("bob");
    expect(await preview(toWrite)).toMatchObject({
      stages: [{ needed: 2, approvers: ["carol"] }],
      enough: false,
    });
  });
});

describe("the usual wait", () => {
  const decide = async (waitMs: number, reason: string) => {
    const { access, caller, clock } = fixture;
    const { id } = await access.request(caller("alice"), { ...toRead, reason });
    clock.ms += waitMs;
    await access.deny(caller("bob"), id, "");
  };

  test("is the median of what the rule's requests for the database waited; of a few nothing is said", async () => {
    const waits = [1, 2, 3, 4, 600].map((minutes) => minutes * minute);
    for (const [index, wait] of waits.entries()) {
      expect(await preview()).toMatchObject({ usualWait: null });
      await decide(wait, `ticket ${index}`);
    }
    expect(waits).toHaveLength(waitLimits.leastDecided);
    expect(await preview()).toMatchObject({
      usualWait: { medianSeconds: 180, decided: 5, lapsed: 0 },
    });
    expect(await preview(toWrite)).toMatchObject({ usualWait: null });
  });

  test("tells how many nobody decided, and leaves out what was withdrawn", async () => {
    const { access, caller, clock } = fixture;
    for (const reason of ["a", "b", "c", "d", "e"]) {
      await decide(minute, reason);
    }
    const { id } = await access.request(caller("alice"), { ...toRead, reason: "f" });
    await access.withdraw(caller("alice"), id);
    await access.request(caller("alice"), { ...toRead, reason: "g" });
    clock.ms += 25 * 60 * minute;
    await access.sweep();
    expect(await preview()).toMatchObject({
      usualWait: { medianSeconds: 60, decided: 5, lapsed: 1 },
    });
  });
});
