import { requestQuery } from "@jitdb/shared/api/access";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AccessFixture, createAccessFixture, minute, type Name } from "./access-fixture.ts";

let fixture: AccessFixture;

beforeEach(async () => {
  fixture = await createAccessFixture();
});
afterEach(async () => {
  await fixture.store.close();
});

async function request(name: Name, database: string, reason = ""): Promise<string> {
  const input = { database, durationMs: minute, reason };
  return (await fixture.access.request(fixture.caller(name), input)).id;
}

async function listed(name: Name, query: object): Promise<string[]> {
  const { access, caller } = fixture;
  const page = await access.listRequests(caller(name), requestQuery.parse(query));
  return page.rows.map(({ id }) => id);
}

describe("the databases of a person", () => {
  test("are those that some policy opens, with their profiles and longest durations", async () => {
    const { access, caller } = fixture;
    const readOnly = { name: "read-only", maxDurationSeconds: 3600 };
    const readWrite = { name: "read-write", maxDurationSeconds: 3600 };
    expect(await access.databasesFor(caller("alice"))).toMatchObject([
      {
        name: "prod-orders",
        engine: "postgres",
        labels: { env: "prod" },
        profiles: [
          { ...readOnly, approval: "required", description: "read-only on prod-orders" },
          { ...readWrite, approval: "required" },
        ],
      },
      {
        name: "test",
        profiles: [
          { ...readOnly, approval: "automatic" },
          { ...readWrite, approval: "automatic" },
        ],
      },
    ]);
    expect(await access.databasesFor(caller("eve"))).toEqual([]);
  });
});

describe("requests", () => {
  test("are seen by who asked, who may decide, who has approved, and administrators", async () => {
    const { access, caller, store } = fixture;
    const id = await request("alice", "prod-orders");
    for (const name of ["alice", "bob", "dora"] as const) {
      expect((await access.getRequest(caller(name), id)).id).toBe(id);
      expect(await listed(name, { scope: "all" })).toEqual([id]);
    }
    for (const name of ["anna", "eve"] as const) {
      await expect(access.getRequest(caller(name), id)).rejects.toMatchObject({
        code: "request.unknown",
      });
      expect(await listed(name, { scope: "all" })).toEqual([]);
    }
    await access.approve(caller("bob"), id, { comment: "" });
    await store.db.deleteFrom("memberships").execute();
    const former = { ...caller("bob"), groups: [] };
    expect((await access.getRequest(former, id)).id).toBe(id);
  });

  test("wait in the inbox of those who may decide now", async () => {
    const { access, caller, clock } = fixture;
    const id = await request("alice", "prod-orders");
    expect(await listed("bob", { scope: "inbox" })).toEqual([id]);
    expect(await listed("dora", { scope: "inbox" })).toEqual([]);
    expect(await listed("alice", { scope: "inbox" })).toEqual([]);
    expect((await access.getRequest(caller("bob"), id)).canDecide).toBe(true);
    expect((await access.getRequest(caller("dora"), id)).canDecide).toBe(false);
    clock.ms += 24 * 60 * minute;
    expect(await listed("bob", { scope: "inbox" })).toEqual([]);
    expect((await access.getRequest(caller("bob"), id)).canDecide).toBe(false);
  });

  test("are not opened to a group by a name that only looks like its own", async () => {
    const { access, caller } = fixture;
    await request("alice", "prod-orders");
    for (const group of ["lead_", "l%", "eads", "lead"]) {
      const lookalike = { ...caller("eve"), groups: [group] };
      const query = requestQuery.parse({ scope: "all" });
      expect((await access.listRequests(lookalike, query)).rows).toEqual([]);
    }
  });

  test("come in pages, newest first, that later requests do not shift", async () => {
    const { access, caller, clock } = fixture;
    const ids: string[] = [];
    for (let index = 0; index < 5; index += 1) {
      // Two of each millisecond: the id decides among them.
      clock.ms += index % 2;
      ids.push(await request("alice", "prod-orders", `ticket ${index}`));
    }
    const all = await listed("alice", {});
    expect([...all].sort()).toEqual([...ids].sort());
    const first = await access.listRequests(caller("alice"), requestQuery.parse({ limit: 2 }));
    await request("alice", "prod-orders", "came meanwhile");
    const second = await access.listRequests(
      caller("alice"),
      requestQuery.parse({ limit: 2, after: first.next }),
    );
    const third = await access.listRequests(
      caller("alice"),
      requestQuery.parse({ limit: 2, after: second.next }),
    );
    expect([first, second, third].flatMap(({ rows }) => rows.map(({ id }) => id))).toEqual(all);
    expect(third.next).toBeNull();
  });

  test("are filtered by state, and refuse a cursor that nobody gave out", async () => {
    const { access, caller } = fixture;
    const waiting = await request("alice", "prod-orders");
    const granted = await request("alice", "test");
    expect(await listed("alice", { state: "approved" })).toEqual([granted]);
    expect(await listed("alice", { state: "pending" })).toEqual([waiting]);
    await expect(
      access.listRequests(caller("alice"), requestQuery.parse({ after: "1; drop" })),
    ).rejects.toMatchObject({ code: "usage.invalid" });
  });
});

describe("grants", () => {
  test("are seen by their owner, who may decide on their request, and administrators", async () => {
    const { access, caller } = fixture;
    const id = await request("alice", "prod-orders");
    const { grantId } = await access.approve(caller("bob"), id, { comment: "" });
    const list = async (name: Name, scope: "mine" | "all") =>
      (await access.listGrants(caller(name), { scope, limit: 50 })).rows.map((row) => row.id);
    expect(await list("alice", "mine")).toEqual([grantId]);
    expect(await list("bob", "mine")).toEqual([]);
    for (const name of ["alice", "bob", "dora"] as const) {
      expect(await list(name, "all")).toEqual([grantId]);
    }
    expect(await list("anna", "all")).toEqual([]);
    await expect(access.getGrant(caller("anna"), grantId ?? "")).rejects.toMatchObject({
      code: "grant.unknown",
    });
  });

  test("come in pages and by state", async () => {
    const { access, caller, clock } = fixture;
    for (let index = 0; index < 3; index += 1) {
      await request("alice", "test", `ticket ${index}`);
    }
    const query = { scope: "mine", limit: 2 } as const;
    const first = await access.listGrants(caller("alice"), query);
    const second = await access.listGrants(caller("alice"), { ...query, after: first.next ?? "" });
    expect(new Set([...first.rows, ...second.rows].map(({ id }) => id)).size).toBe(3);
    clock.ms += minute;
    await access.sweep();
    expect((await access.listGrants(caller("alice"), { ...query, state: "active" })).rows).toEqual(
      [],
    );
  });

  test("tell how it stands with their user, and how many sessions are open", async () => {
    const { access, caller, store, clock } = fixture;
    const id = await request("alice", "test");
    const { grantId } = await access.getRequest(caller("alice"), id);
    const view = () => access.getGrant(caller("alice"), grantId ?? "");
    const setUser = (fields: object) =>
      store.db.updateTable("ephemeral_users").set(fields).execute();
    expect(await view()).toMatchObject({ user: "preparing", userProblem: null, openSessions: 0 });
    await setUser({ attempts: 1, last_error: "connect ECONNREFUSED db.internal:5432" });
    expect(await view()).toMatchObject({
      user: "preparing",
      userProblem: "The database did not let its user be made yet. jitdb keeps trying.",
    });
    await setUser({ state: "created" });
    expect(await view()).toMatchObject({ user: "ready", userProblem: null });
    clock.ms += minute;
    await access.sweep();
    expect(await view()).toMatchObject({ user: "ending" });
    await setUser({ state: "quarantined" });
    expect(await view()).toMatchObject({
      user: "quarantined",
      userProblem: expect.stringContaining("It is locked"),
    });
    await setUser({ state: "dropped" });
    expect(await view()).toMatchObject({ user: "gone" });
  });
});
