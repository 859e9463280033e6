import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AccessFixture, createAccessFixture, minute, policy } from "../access-fixture.ts";
import { authorizeOpen } from "../authorize.ts";

let fixture: AccessFixture;
let grantId: string;

beforeEach(async () => {
  fixture = await createAccessFixture();
  const { access, caller } = fixture;
  const input = { database: "test", durationMs: 30 * minute, reason: "" };
  grantId = (await access.request(caller("alice"), input)).grantId ?? "";
});
afterEach(async () => {
  await fixture.store.close();
});

const open = (name: Parameters<AccessFixture["caller"]>[0], device?: string) =>
  authorizeOpen(fixture.store, fixture.clock, fixture.caller(name, device), grantId);
const ledger = () => fixture.store.db.selectFrom("ephemeral_users").selectAll().executeTakeFirst();

describe("the time of a grant", () => {
  test("opens sessions to its last millisecond and not at its end, swept or not (invariants 6 and 7)", async () => {
    const { access, clock } = fixture;
    clock.ms += 30 * minute - 1;
    expect(await access.sweep()).toEqual({ lapsed: [], ended: [] });
    expect(await open("alice")).toMatchObject({ id: grantId, database_name: "test" });
    clock.ms += 1;
    const over = {
      code: "grant.expired",
      message: "The time for test is over.",
      hint: "Ask again with `jitdb request test --for 30m`.",
    };
    await expect(open("alice")).rejects.toMatchObject(over);
    await access.sweep();
    await expect(open("alice")).rejects.toMatchObject(over);
  });

  test("is never longer because the clock stepped back: what has ended stays ended (invariant 6)", async () => {
    const { access, clock } = fixture;
    clock.ms += 30 * minute;
    await access.sweep();
    clock.ms -= 20 * minute;
    await expect(open("alice")).rejects.toMatchObject({ code: "grant.expired" });
  });

  test("lets a cancel reach what a soft end lets finish, and no session open (invariant 7)", async () => {
    const { access, clock, store } = fixture;
    await store.db.updateTable("grants").set({ drain_ms: minute }).execute();
    clock.ms += 30 * minute;
    await access.sweep();
    const cancel = () => authorizeOpen(store, clock, fixture.caller("alice"), grantId, "cancel");
    expect(await cancel()).toMatchObject({ id: grantId });
    await expect(open("alice")).rejects.toMatchObject({ code: "grant.expired" });
    clock.ms += minute;
    await expect(cancel()).rejects.toMatchObject({ code: "grant.expired" });
  });

  test("drains as the policy said when it began; what is taken away does not (invariant 30)", async () => {
    await fixture.store.close();
    const soft = policy("soft", { approval: { kind: "automatic" }, drainMs: minute });
    fixture = await createAccessFixture([soft]);
    const { access, caller, clock } = fixture;
    const ask = async () =>
      (await access.request(caller("alice"), { database: "test", durationMs: minute, reason: "" }))
        .grantId ?? "";
    const [expired, revoked] = [await ask(), await ask()];
    await access.revoke(caller("alice"), revoked, "");
    clock.ms += minute;
    await access.sweep();
    expect(await fixture.records("grant.started")).toMatchObject([
      { drainMs: minute },
      { drainMs: minute },
    ]);
    const [first, second] = await fixture.records("grant.ended");
    expect(first).toMatchObject({ grant: revoked, end: "revoked" });
    expect(first).not.toHaveProperty("drainingUntil");
    expect(second).toMatchObject({
      grant: expired,
      drainingUntil: new Date(clock.ms + minute).toISOString(),
    });
    const users = await fixture.store.db.selectFrom("ephemeral_users").selectAll().execute();
    expect(users.find(({ grant_id }) => grant_id === revoked)?.drain_ms).toBe(0);
    expect(users.find(({ grant_id }) => grant_id === expired)?.drain_ms).toBe(minute);
    // Nobody is in a session of it.
    expect(await access.getGrant(caller("alice"), expired)).toMatchObject({ drainingUntil: null });
  });

  test("ends with a record of the lateness, a hint, and the user's end due at the grant's (invariant 30)", async () => {
    const { access, clock, hints, caller } = fixture;
    clock.ms += 30 * minute + 250;
    hints.length = 0;
    expect(await access.sweep()).toMatchObject({
      lapsed: [],
      ended: [{ grantId, end: "expired", error: { message: "The time for test is over." } }],
    });
    expect(hints).toEqual([{ type: "grant", id: grantId }]);
    expect(await ledger()).toMatchObject({ end_due_at: clock.ms - 250 });
    expect(await fixture.records("grant.ended")).toMatchObject([
      { person: "alice", database: "test", grant: grantId, end: "expired", latenessMs: 250 },
    ]);
    expect(await access.getGrant(caller("alice"), grantId)).toMatchObject({
      state: "ended",
      end: "expired",
      endedAt: "2026-01-01T00:30:00.250Z",
      endedBy: null,
      user: "ending",
    });
  });
});

describe("revoking", () => {
  test("of somebody else's grant takes a confirmed device, of one's own none (invariant 2)", async () => {
    const { access, addDevice, caller } = fixture;
    await addDevice("dora", "phished");
    await addDevice("alice", "new");
    await expect(access.revoke(caller("dora", "phished"), grantId, "")).rejects.toMatchObject({
      code: "device.unconfirmed",
    });
    expect(await access.revoke(caller("alice", "new"), grantId, "")).toMatchObject({
      endedBy: "alice",
    });
  });

  test("gives one's own grant back at once", async () => {
    const { access, caller, clock } = fixture;
    clock.ms += minute;
    expect(await access.revoke(caller("alice"), grantId, "done")).toMatchObject({
      state: "ended",
      end: "revoked",
      endReason: "done",
      endedBy: "alice",
      endedAt: "2026-01-01T00:01:00.000Z",
    });
    expect(await ledger()).toMatchObject({ end_due_at: clock.ms });
    expect(await fixture.records("grant.ended")).toMatchObject([
      { by: "alice", end: "revoked", reason: "done", latenessMs: 0 },
    ]);
    await expect(open("alice")).rejects.toMatchObject({
      code: "grant.revoked",
      message: "The grant for test was revoked: done",
    });
  });

  test("is for its owner and for administrators", async () => {
    const { access, caller } = fixture;
    for (const name of ["anna", "bob", "eve"] as const) {
      await expect(access.revoke(caller(name), grantId, "")).rejects.toMatchObject({
        code: "grant.unknown",
      });
    }
    expect(await access.revoke(caller("dora"), grantId, "")).toMatchObject({ endedBy: "dora" });
  });

  test("comes too late for a grant that has ended", async () => {
    const { access, caller, clock } = fixture;
    clock.ms += 30 * minute;
    await expect(access.revoke(caller("alice"), grantId, "")).rejects.toMatchObject({
      code: "grant.expired",
    });
    expect(await access.sweep()).toMatchObject({ ended: [{ end: "expired" }] });
    await expect(access.revoke(caller("alice"), grantId, "")).rejects.toMatchObject({
      code: "grant.expired",
    });
    expect(await fixture.records("grant.ended")).toHaveLength(1);
  });
});

describe("a sweep", () => {
  test("revokes the grants and lapses the requests of the disabled", async () => {
    const { access, caller, disable } = fixture;
    const input = { database: "prod-orders", durationMs: minute, reason: "" };
    const { id } = await access.request(caller("alice"), input);
    await disable("alice");
    const reason = "The account was disabled.";
    const message = `The grant for test was revoked: ${reason}`;
    expect(await access.sweep()).toMatchObject({
      lapsed: [id],
      ended: [{ grantId, end: "revoked", error: { message } }],
    });
    expect(await access.getRequest(caller("dora"), id)).toMatchObject({
      state: "lapsed",
      decisionReason: reason,
    });
  });

  test("lapses requests at their time, not before", async () => {
    const { access, caller, clock } = fixture;
    const input = { database: "prod-orders", durationMs: minute, reason: "" };
    const { id } = await access.request(caller("alice"), input);
    clock.ms += 24 * 60 * minute - 1;
    expect((await access.sweep()).lapsed).toEqual([]);
    clock.ms += 1;
    expect((await access.sweep()).lapsed).toEqual([id]);
    expect(await access.getRequest(caller("alice"), id)).toMatchObject({
      state: "lapsed",
      decisionReason: "Nobody decided in time.",
    });
    expect(await fixture.records("request.lapsed")).toMatchObject([{ request: id }]);
  });
});

describe("opening a session (invariant 7)", () => {
  test("is for the owner alone: to others the grant is not there", async () => {
    for (const name of ["anna", "dora"] as const) {
      await expect(open(name)).rejects.toMatchObject({ code: "grant.unknown" });
    }
    await expect(open("alice", "bob")).rejects.toMatchObject({ code: "login.required" });
  });

  test("works from another confirmed device, and from no unconfirmed one (invariant 2)", async () => {
    await fixture.addDevice("alice", "tablet", { confirmed: true });
    await fixture.addDevice("alice", "phished");
    expect(await open("alice", "tablet")).toMatchObject({ id: grantId });
    await expect(open("alice", "phished")).rejects.toMatchObject({ code: "device.unconfirmed" });
  });

  test("ends with the login of the device and with the account", async () => {
    const { store, caller, disable } = fixture;
    await store.db
      .updateTable("devices")
      .set({ revoked_at: 1 })
      .where("id", "=", caller("alice").deviceId)
      .execute();
    await expect(open("alice")).rejects.toMatchObject({ code: "login.expired" });
    await disable("alice");
    await expect(open("alice")).rejects.toMatchObject({ code: "login.disabled" });
  });
});
