import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AccessFixture, createAccessFixture, minute, policy } from "../access-fixture.ts";
import { type Ask, maxPendingRequests } from "./ask.ts";

let fixture: AccessFixture;

beforeEach(async () => {
  fixture = await createAccessFixture();
});
afterEach(async () => {
  await fixture.store.close();
});

const askFor = (database: string, fields: Partial<Ask> = {}): Ask => ({
  database,
  durationMs: 30 * minute,
  reason: "",
  ...fields,
});

describe("asking", () => {
  test("leaves a pending request with what its policy wants", async () => {
    const { access, caller, hints } = fixture;
    const view = await access.request(
      caller("alice"),
      askFor("prod-orders", { reason: "ticket 7" }),
    );
    expect(view).toEqual({
      id: expect.stringMatching(/^req_/),
      person: "alice",
      database: "prod-orders",
      profile: "read-only",
      durationSeconds: 1800,
      reason: "ticket 7",
      state: "pending",
      policy: "prod-read",
      device: { label: "jitdb on alice", confirmed: true },
      leavesTraces: [],
      startsAt: null,
      breakGlass: false,
      extendsGrant: null,
      approvals: {
        needed: 1,
        given: [],
        stages: [{ name: null, groups: ["leads"], missing: 1 }],
        groups: ["leads"],
      },
      createdAt: "2026-01-01T00:00:00.000Z",
      lapsesAt: "2026-01-02T00:00:00.000Z",
      decidedAt: null,
      decidedBy: null,
      decisionReason: null,
      grantId: null,
      canDecide: false,
    });
    expect(hints).toEqual([{ type: "request", id: view.id }]);
    expect(await fixture.records()).toMatchObject([
      {
        kind: "request.created",
        person: "alice",
        device: "alice",
        database: "prod-orders",
        address: "192.0.2.1",
        request: view.id,
        policy: "prod-read",
        durationMs: 30 * minute,
      },
    ]);
  });

  test("is granted at once where the policy says so and the device is confirmed", async () => {
    const { access, caller, store } = fixture;
    const view = await access.request(caller("alice"), askFor("test"));
    expect(view).toMatchObject({ state: "approved", decidedBy: null, approvals: { needed: 0 } });
    expect(await access.getGrant(caller("alice"), view.grantId ?? "")).toMatchObject({
      state: "active",
      database: "test",
      startsAt: "2026-01-01T00:00:00.000Z",
      endsAt: "2026-01-01T00:30:00.000Z",
      user: "preparing",
    });
    expect(await store.db.selectFrom("ephemeral_users").selectAll().execute()).toMatchObject([
      { grant_id: view.grantId, state: "planned", database_name: "test", end_due_at: null },
    ]);
    expect((await fixture.records()).map(({ kind }) => kind)).toEqual([
      "request.created",
      "request.granted",
      "grant.started",
      "user.planned",
    ]);
  });

  test("is never granted at once to an unconfirmed device: an administrator has to approve (invariant 2)", async () => {
    const { access, caller, addDevice } = fixture;
    await addDevice("alice", "phished");
    const view = await access.request(caller("alice", "phished"), askFor("test"));
    expect(view).toMatchObject({
      state: "pending",
      grantId: null,
      device: { confirmed: false },
      approvals: { needed: 1, groups: ["admins"] },
    });
    await access.approve(caller("dora"), view.id, { comment: "" });
    expect(await fixture.records("device.confirmed")).toMatchObject([
      { person: "alice", device: "phished", by: "dora" },
    ]);
    const next = await access.request(caller("alice", "phished"), askFor("test"));
    expect(next.state).toBe("approved");
  });

  test("is granted at last when the same is asked again from a device that was confirmed since", async () => {
    const { access, caller, addDevice } = fixture;
    await addDevice("alice", "laptop");
    const waiting = await access.request(caller("alice", "laptop"), askFor("test"));
    const other = await access.request(caller("alice", "laptop"), askFor("prod-orders"));
    await access.approve(caller("bob"), other.id, { comment: "" });
    const again = await access.request(caller("alice", "laptop"), askFor("test"));
    expect(again).toMatchObject({ id: waiting.id, state: "approved" });
  });

  test("is not believed about the device: the store says whether it is confirmed", async () => {
    const { access, caller, addDevice } = fixture;
    await addDevice("alice", "phished");
    const lying = { ...caller("alice", "phished"), deviceConfirmed: true };
    expect((await access.request(lying, askFor("test"))).state).toBe("pending");
  });

  test("takes the only profile that is open", async () => {
    await fixture.store.close();
    fixture = await createAccessFixture([policy("a", { profiles: ["admin"] })]);
    const view = await fixture.access.request(fixture.caller("alice"), askFor("prod-people"));
    expect(view.profile).toBe("admin");
  });
});

describe("asking again", () => {
  test("for the same finds the request that waits", async () => {
    const { access, caller } = fixture;
    const first = await access.request(caller("alice"), askFor("prod-orders"));
    fixture.clock.ms += minute;
    const [second, third] = await Promise.all([
      access.request(caller("alice"), askFor("prod-orders")),
      access.request(caller("alice"), askFor("prod-orders")),
    ]);
    expect(second).toEqual(first);
    expect(third).toEqual(first);
    expect(await fixture.records("request.created")).toHaveLength(1);
  });

  test("for something else makes another request", async () => {
    const { access, caller } = fixture;
    const first = await access.request(caller("alice"), askFor("prod-orders"));
    const other = await access.request(caller("alice"), askFor("prod-orders", { reason: "other" }));
    const annas = await access.request(caller("anna"), askFor("prod-orders"));
    expect(new Set([first.id, other.id, annas.id]).size).toBe(3);
  });

  test("makes another request once the first is decided or has lapsed", async () => {
    const { access, caller, clock } = fixture;
    const first = await access.request(caller("alice"), askFor("prod-orders"));
    await access.deny(caller("bob"), first.id, "not today");
    const second = await access.request(caller("alice"), askFor("prod-orders"));
    clock.ms += 24 * 60 * minute;
    const third = await access.request(caller("alice"), askFor("prod-orders"));
    expect(new Set([first.id, second.id, third.id]).size).toBe(3);
    expect((await access.getRequest(caller("alice"), second.id)).state).toBe("lapsed");
  });

  test("is refused while too many requests wait", async () => {
    const { access, caller } = fixture;
    for (let index = 0; index < maxPendingRequests; index += 1) {
      await access.request(caller("alice"), askFor("prod-orders", { reason: `ticket ${index}` }));
    }
    await expect(
      access.request(caller("alice"), askFor("prod-orders", { reason: "one more" })),
    ).rejects.toMatchObject({ code: "limit.reached" });
    await access.request(caller("anna"), askFor("prod-orders"));
  });
});

describe("a refusal", () => {
  interface Row {
    readonly title: string;
    readonly who?: "eve";
    readonly input: Ask;
    readonly error: object;
  }
  const rows: Row[] = [
    {
      title: "names the databases that there are for this person when the name is unknown",
      input: askFor("sales"),
      error: {
        code: "database.unknown",
        message: 'There is no database "sales".',
        hint: "You may ask for prod-orders, test; `jitdb databases` says more.",
      },
    },
    {
      title: "guesses what a slip of the keyboard meant, out of what this person may ask for",
      input: askFor("prod-ordres"),
      error: {
        code: "database.unknown",
        message: 'There is no database "prod-ordres".',
        hint: "Did you mean prod-orders?",
      },
    },
    {
      title: "does not guess a name that no policy opens to this person",
      input: askFor("prod-poeple"),
      error: {
        code: "database.unknown",
        hint: expect.stringMatching(/^You may ask for prod-orders/),
      },
    },
    {
      title: "names only those when no policy opens a database that exists",
      input: askFor("prod-people"),
      error: {
        code: "policy.no_match",
        message: "No policy lets you ask for prod-people.",
        hint: "You may ask for prod-orders, test; `jitdb databases` says more.",
      },
    },
    {
      title: "says that nothing is open in an emergency alone",
      input: askFor("prod-orders", { breakGlass: true, reason: "fire" }),
      error: {
        code: "policy.no_match",
        message: "No policy opens prod-orders to you in an emergency.",
        hint: "Ask without --break-glass.",
      },
    },
    {
      title: "names no database to somebody who may use none",
      who: "eve",
      input: askFor("test"),
      error: {
        code: "policy.no_match",
        hint: "No policy opens any database to you; ask an administrator.",
      },
    },
    {
      title: "names the profiles that are open",
      input: askFor("prod-orders", { profile: "admin" }),
      error: {
        code: "policy.no_match",
        message: "No policy lets you ask for the profile admin of prod-orders.",
        hint: "Ask with --profile read-only or --profile read-write.",
      },
    },
    {
      title: "names the longest duration",
      input: askFor("prod-orders", { durationMs: 90 * minute }),
      error: {
        code: "policy.duration",
        message:
          "1h30m is too long: the policy prod-read allows 1h at the most for read-only on prod-orders.",
        hint: "Ask for less with --for 1h.",
      },
    },
    {
      title: "asks for the reason",
      input: askFor("prod-orders", { profile: "read-write" }),
      error: {
        code: "usage.invalid",
        message: "The policy prod-write wants a reason for read-write on prod-orders.",
      },
    },
    ...[0, -1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 1e308].map((durationMs) => ({
      title: `turns away a duration of ${durationMs} (invariant 6)`,
      input: askFor("test", { durationMs }),
      error: { code: "usage.duration" },
    })),
  ];

  test.each(rows)("$title, and is on record (invariant 27)", async ({ who, input, error }) => {
    const { access, caller, store } = fixture;
    const name = who ?? "alice";
    const refused = await access.request(caller(name), input).catch((thrown: unknown) => thrown);
    expect(refused).toMatchObject(error);
    expect(await store.db.selectFrom("requests").selectAll().execute()).toEqual([]);
    expect(await fixture.records()).toMatchObject([
      {
        kind: "request.refused",
        person: name,
        database: input.database,
        code: (refused as { code: string }).code,
        reason: (refused as Error).message,
      },
    ]);
  });

  test("names the profiles when there are several and none of them only reads", async () => {
    await fixture.store.close();
    fixture = await createAccessFixture([policy("a")]);
    await expect(
      fixture.access.request(fixture.caller("alice"), askFor("prod-people")),
    ).rejects.toMatchObject({
      code: "usage.ambiguous",
      message: "You may ask for prod-people with the profiles read-write, admin.",
      hint: "Name the one you mean with --profile.",
    });
  });

  test("meets a disabled person, a revoked device and a device of somebody else", async () => {
    const { access, caller, store, disable } = fixture;
    await expect(access.request(caller("alice", "bob"), askFor("test"))).rejects.toMatchObject({
      code: "login.required",
    });
    await store.db
      .updateTable("devices")
      .set({ revoked_at: 1 })
      .where("id", "=", caller("alice").deviceId)
      .execute();
    await expect(access.request(caller("alice"), askFor("test"))).rejects.toMatchObject({
      code: "login.expired",
    });
    await disable("anna");
    await expect(access.request(caller("anna"), askFor("test"))).rejects.toMatchObject({
      code: "login.disabled",
    });
  });
});
