import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AccessFixture, createAccessFixture, minute } from "../access-fixture.ts";
import { requestDigest } from "./digest.ts";

let fixture: AccessFixture;

beforeEach(async () => {
  fixture = await createAccessFixture();
});
afterEach(async () => {
  await fixture.store.close();
});

/** A request of alice's: reading takes one lead, writing two. */
async function pending(profile: "read-only" | "read-write" = "read-only"): Promise<string> {
  const input = { database: "prod-orders", profile, durationMs: 30 * minute, reason: "ticket 7" };
  return (await fixture.access.request(fixture.caller("alice"), input)).id;
}

const plain = { comment: "" };

describe("approving", () => {
  test("grants for the time from now on, once enough have approved", async () => {
    const { access, caller, clock } = fixture;
    const id = await pending();
    clock.ms += 5 * minute;
    const view = await access.approve(caller("bob"), id, { comment: "go on" });
    expect(view).toMatchObject({
      state: "approved",
      decidedBy: "bob",
      decidedAt: "2026-01-01T00:05:00.000Z",
      approvals: { given: [{ person: "bob", comment: "go on", at: "2026-01-01T00:05:00.000Z" }] },
    });
    expect(await access.getGrant(caller("alice"), view.grantId ?? "")).toMatchObject({
      requestId: id,
      startsAt: "2026-01-01T00:05:00.000Z",
      endsAt: "2026-01-01T00:35:00.000Z",
    });
    expect((await fixture.records()).map(({ kind }) => kind)).toEqual([
      "request.created",
      "request.approved",
      "request.granted",
      "grant.started",
      "user.planned",
    ]);
  });

  test("waits until as many different people have approved as the policy wants", async () => {
    const { access, caller } = fixture;
    const id = await pending("read-write");
    const first = await access.approve(caller("bob"), id, plain);
    expect(first).toMatchObject({ state: "pending", grantId: null, canDecide: false });
    await expect(access.approve(caller("bob"), id, plain)).rejects.toMatchObject({
      code: "request.decided",
      message: `You have already approved the request ${id}.`,
    });
    expect(await access.getRequest(caller("carol"), id)).toMatchObject({ canDecide: true });
    expect(await access.approve(caller("carol"), id, plain)).toMatchObject({ state: "approved" });
  });

  test("grants the least of what was approved, and never more than was asked", async () => {
    const { access, caller } = fixture;
    const id = await pending("read-write");
    await access.approve(caller("bob"), id, { comment: "", durationMs: 10 * minute });
    for (const durationMs of [30 * minute + 1, 0, -1, 0.5, Number.NaN]) {
      await expect(
        access.approve(caller("carol"), id, { comment: "", durationMs }),
      ).rejects.toMatchObject({ code: "usage.duration" });
    }
    const { grantId } = await access.approve(caller("carol"), id, plain);
    expect(await access.getGrant(caller("alice"), grantId ?? "")).toMatchObject({
      endsAt: "2026-01-01T00:10:00.000Z",
    });
  });

  test("of one's own request is refused, from another device and as an approver, too (invariant 5)", async () => {
    const { access, caller, addDevice, store } = fixture;
    const id = await pending();
    await addDevice("alice", "tablet", { confirmed: true });
    await store.db
      .insertInto("memberships")
      .values({ person_id: caller("alice").personId, group_name: "leads" })
      .execute();
    for (const device of ["alice", "tablet"]) {
      const own = { ...caller("alice", device), groups: ["developers", "leads"] };
      await expect(access.approve(own, id, plain)).rejects.toMatchObject({
        code: "access.own_request",
      });
    }
    expect(await fixture.records("request.refused")).toMatchObject([
      { person: "alice", device: "alice", request: id, action: "approve" },
      { person: "alice", device: "tablet", code: "access.own_request" },
    ]);
  });

  test("is for members of the policy's groups, as the store knows them now", async () => {
    const { access, caller, store } = fixture;
    const id = await pending();
    await expect(access.approve(caller("eve"), id, plain)).rejects.toMatchObject({
      code: "request.unknown",
    });
    await expect(access.approve(caller("dora"), id, plain)).rejects.toMatchObject({
      code: "access.forbidden",
      message: `Only members of leads decide on the request ${id}.`,
    });
    await store.db.deleteFrom("memberships").where("group_name", "=", "leads").execute();
    await expect(access.approve(caller("bob"), id, plain)).rejects.toMatchObject({
      code: "request.unknown",
    });
  });

  test("is not for the disabled", async () => {
    const { access, caller, disable } = fixture;
    const id = await pending();
    await disable("bob");
    await expect(access.approve(caller("bob"), id, plain)).rejects.toMatchObject({
      code: "login.disabled",
    });
  });

  test("does not cover what was changed after it: neither approval nor grant (invariant 5)", async () => {
    const { access, caller, store } = fixture;
    const id = await pending("read-write");
    await access.approve(caller("bob"), id, plain);
    await store.db.updateTable("requests").set({ profile: "admin" }).execute();
    await expect(access.approve(caller("carol"), id, plain)).rejects.toMatchObject({
      code: "request.decided",
      message: `The request ${id} was changed after it was asked.`,
    });
    expect(await store.db.selectFrom("grants").selectAll().execute()).toEqual([]);
  });

  test("does not count when the digest was changed along with the row (invariant 5)", async () => {
    const { access, caller, store } = fixture;
    const id = await pending("read-write");
    await access.approve(caller("bob"), id, plain);
    const row = await store.db.selectFrom("requests").selectAll().executeTakeFirstOrThrow();
    const changed = { ...row, duration_ms: 60 * minute };
    await store.db
      .updateTable("requests")
      .set({ duration_ms: changed.duration_ms, digest: requestDigest(changed) })
      .execute();
    const view = await access.approve(caller("carol"), id, plain);
    expect(view).toMatchObject({ state: "pending", grantId: null });
  });

  test("vouches for the device that asked", async () => {
    const { access, caller, addDevice, store } = fixture;
    await addDevice("alice", "new laptop");
    const input = { database: "prod-orders", durationMs: minute, reason: "" };
    const { id } = await access.request(caller("alice", "new laptop"), input);
    fixture.clock.ms += 1;
    await access.approve(caller("bob"), id, plain);
    const device = store.db
      .selectFrom("devices")
      .selectAll()
      .where("label", "=", "jitdb on new laptop");
    expect(await device.executeTakeFirst()).toMatchObject({
      confirmed_at: fixture.clock.ms,
      confirmed_by: caller("bob").personId,
    });
    expect(fixture.hints).toContainEqual({ type: "device", id: "new laptop" });
  });

  test("comes too late once nobody can be granted anything", async () => {
    const { access, caller, clock, disable, store } = fixture;
    const lapsed = await pending();
    const gone = await access.request(caller("anna"), {
      database: "prod-orders",
      durationMs: minute,
      reason: "",
    });
    await disable("anna");
    await expect(access.approve(caller("bob"), gone.id, plain)).rejects.toMatchObject({
      code: "request.lapsed",
      message: "The account of anna, who asked, is disabled.",
    });
    clock.ms += 24 * 60 * minute;
    await expect(access.approve(caller("bob"), lapsed, plain)).rejects.toMatchObject({
      code: "request.lapsed",
    });
    await expect(access.deny(caller("bob"), lapsed, "no")).rejects.toMatchObject({
      code: "request.lapsed",
    });
    expect(await store.db.selectFrom("grants").selectAll().execute()).toEqual([]);
  });

  test("is refused for a device that was logged out meanwhile", async () => {
    const { access, caller, store } = fixture;
    const id = await pending();
    await store.db
      .updateTable("devices")
      .set({ revoked_at: 1 })
      .where("person_id", "=", caller("alice").personId)
      .execute();
    await expect(access.approve(caller("bob"), id, plain)).rejects.toMatchObject({
      code: "request.lapsed",
      message: "The device that asked was logged out.",
    });
  });
});

describe("denying and withdrawing", () => {
  test("decide the request for good, with a record each", async () => {
    const { access, caller } = fixture;
    const denied = await pending();
    expect(await access.deny(caller("bob"), denied, "not today")).toMatchObject({
      state: "denied",
      decidedBy: "bob",
      decisionReason: "not today",
    });
    await expect(access.approve(caller("carol"), denied, plain)).rejects.toMatchObject({
      code: "request.decided",
      message: `The request ${denied} was already denied.`,
    });
    const withdrawn = await pending();
    expect(await access.withdraw(caller("alice"), withdrawn)).toMatchObject({ state: "withdrawn" });
    await expect(access.approve(caller("bob"), withdrawn, plain)).rejects.toMatchObject({
      code: "request.decided",
    });
    expect(await fixture.records("request.denied")).toMatchObject([
      { person: "alice", by: "bob", reason: "not today", request: denied },
    ]);
    expect(await fixture.records("request.withdrawn")).toMatchObject([{ person: "alice" }]);
  });

  test("one denies for all, also after somebody approved", async () => {
    const { access, caller } = fixture;
    const id = await pending("read-write");
    await access.approve(caller("bob"), id, plain);
    expect(await access.deny(caller("carol"), id, "no")).toMatchObject({ state: "denied" });
  });

  test("are not for one's own, and not for somebody else's", async () => {
    const { access, caller } = fixture;
    const id = await pending();
    await expect(access.deny(caller("alice"), id, "")).rejects.toMatchObject({
      code: "access.own_request",
    });
    await expect(access.withdraw(caller("bob"), id)).rejects.toMatchObject({
      code: "request.unknown",
    });
    await expect(access.withdraw(caller("alice"), "req_none")).rejects.toMatchObject({
      code: "request.unknown",
    });
  });
});

describe("an unconfirmed device (invariant 2)", () => {
  test.each(["approve", "deny"] as const)(
    "does not %s, whatever its token says, and the try is on record (invariant 27)",
    async (action) => {
      const { access, caller, addDevice, store } = fixture;
      const id = await pending();
      await addDevice("bob", "phished");
      const lying = { ...caller("bob", "phished"), deviceConfirmed: true };
      const decided =
        action === "approve" ? access.approve(lying, id, plain) : access.deny(lying, id, "no");
      await expect(decided).rejects.toMatchObject({
        code: "device.unconfirmed",
        message: "Nobody has confirmed this device yet.",
        hint: expect.stringContaining("`jitdb-server devices confirm bob`"),
      });
      expect(await access.getRequest(caller("bob"), id)).toMatchObject({ state: "pending" });
      expect(await store.db.selectFrom("approvals").selectAll().execute()).toEqual([]);
      expect(await fixture.records("request.refused")).toMatchObject([
        { person: "bob", device: "phished", request: id, action, code: "device.unconfirmed" },
      ]);
    },
  );

  test("is told that it can't decide", async () => {
    const { access, caller, addDevice } = fixture;
    const id = await pending();
    await addDevice("bob", "phished");
    const phished = { ...caller("bob", "phished"), deviceConfirmed: false };
    expect(await access.getRequest(phished, id)).toMatchObject({ canDecide: false });
  });

  test("two phished logins, a requester's and an approver's, open nothing", async () => {
    const { access, caller, addDevice, store } = fixture;
    await addDevice("alice", "phished-1");
    await addDevice("bob", "phished-2");
    await addDevice("dora", "phished-3");
    const requests = [
      { database: "prod-orders", profile: "read-only", durationMs: minute, reason: "" },
      { database: "test", durationMs: minute, reason: "" },
    ];
    for (const input of requests) {
      const { id, state } = await access.request(caller("alice", "phished-1"), input);
      expect(state).toBe("pending");
      for (const approver of [caller("bob", "phished-2"), caller("dora", "phished-3")]) {
        await expect(access.approve(approver, id, plain)).rejects.toThrow();
      }
    }
    expect(await store.db.selectFrom("grants").selectAll().execute()).toEqual([]);
    const confirmed = store.db.selectFrom("devices").select("id").where("confirmed_at", "is", null);
    expect(await confirmed.execute()).toHaveLength(3);
  });

  test("withdraws its own request and gives its own grant back all the same", async () => {
    const { access, caller, addDevice } = fixture;
    const id = await pending();
    const granted = await access.approve(caller("bob"), await pending("read-only"), plain);
    await addDevice("alice", "new");
    expect(granted.id).toBe(id);
    expect(
      await access.revoke(caller("alice", "new"), granted.grantId ?? "", "done"),
    ).toMatchObject({ state: "ended" });
    const other = await access.request(caller("alice", "new"), {
      database: "prod-orders",
      profile: "read-only",
      durationMs: minute,
      reason: "",
    });
    expect(await access.withdraw(caller("alice", "new"), other.id)).toMatchObject({
      state: "withdrawn",
    });
  });
});
