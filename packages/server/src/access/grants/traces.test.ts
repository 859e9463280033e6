import type { GrantId } from "@jitdb/shared/ids";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type AccessFixture,
  createAccessFixture,
  minute,
  type Name,
  policy,
} from "../access-fixture.ts";

const theTrace = {
  change: "new",
  database: "orders",
  kind: "table",
  identity: "app.kept",
  owner: "jitdb_keeper",
  detail: "",
  risk: "data",
  look: null,
  undo: "DROP TABLE app.kept",
};
const digest = "d".repeat(64);

describe("signing what a grant left behind", () => {
  let fixture: AccessFixture;
  let grant: GrantId;

  beforeEach(async () => {
    fixture = await createAccessFixture([
      policy("leads-decide", { approval: { kind: "approvals", count: 1, groups: ["leads"] } }),
      policy("dora-too", { who: { groups: ["admins"], people: [], services: [] } }),
    ]);
    grant = await grantOf("alice");
    await compared(grant);
  });
  afterEach(() => fixture.store.close());

  async function grantOf(name: Name): Promise<GrantId> {
    const { access, caller } = fixture;
    const ask = { database: "prod-orders", profile: "admin", durationMs: 30 * minute, reason: "" };
    const { id } = await access.request(caller(name), ask);
    return (await access.approve(caller("bob"), id, { comment: "" })).grantId as GrantId;
  }

  /** What the comparison writes; without traces: as long as it has not been made. */
  async function compared(id: GrantId, state: "taken" | "clean" | "open" = "open"): Promise<void> {
    const maker = {
      certainty: "statement",
      grant: "grt_other",
      person: "anna",
      statement: "stm_1",
    };
    const nothing = { session: null, at: null, text: "CREATE TABLE" };
    const candidates = [
      { grant: id, person: "alice" },
      { grant: "grt_other", person: "anna" },
    ];
    const trace = { ...theTrace, maker: { ...maker, ...nothing }, candidates };
    await fixture.store.db
      .insertInto("comparisons")
      .values({
        grant_id: id,
        database_name: "prod-orders",
        state,
        gaps: "[]",
        traces: JSON.stringify(state === "open" ? [trace] : []),
        digest,
        taken_at: fixture.clock.ms,
        next_attempt_at: 0,
      })
      .execute();
  }

  const sign = (name: Name, device?: string, of = digest) =>
    fixture.access.sign(fixture.caller(name, device), grant, { digest: of, comment: "seen" });

  it.each(["carol", "dora"] as const)(
    "is for those who decide on such grants, and for administrators: %s (invariant 33)",
    async (name) => {
      const detail = await sign(name);
      expect(detail.grant.traces).toBe("signed");
      expect(detail.comparison).toMatchObject({ signedBy: name, comment: "seen", canSign: false });
      expect(await fixture.records("traces.signed")).toMatchObject([
        { person: "alice", grant, by: name, traces: 1, digest, comment: "seen" },
      ]);
    },
  );

  it.each([
    ["alice", "access.own_request"],
    ["anna", "grant.unknown"],
    ["eve", "grant.unknown"],
  ] as const)("is not for %s: %s, on record (invariant 33)", async (name, code) => {
    await expect(sign(name)).rejects.toMatchObject({ code });
    expect(await fixture.records("request.refused")).toMatchObject([
      { person: name, grant, action: "sign", code },
    ]);
  });

  it("is not for an administrator's own grants either (invariant 33)", async () => {
    grant = await grantOf("dora");
    await compared(grant);
    await expect(sign("dora")).rejects.toMatchObject({ code: "access.own_request" });
    expect((await sign("bob")).grant.traces).toBe("signed");
  });

  it("wants a confirmed device (invariant 2)", async () => {
    await fixture.addDevice("carol", "phone");
    await expect(sign("carol", "phone")).rejects.toMatchObject({ code: "device.unconfirmed" });
  });

  it("counts once, and tells the second who was first (invariant 44)", async () => {
    const outcomes = await Promise.allSettled([sign("bob"), sign("carol")]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
    await expect(sign("dora")).rejects.toMatchObject({
      code: "traces.not_open",
      message: expect.stringMatching(/was signed by (bob|carol) already/),
    });
    expect(await fixture.records("traces.signed")).toHaveLength(1);
  });

  it("is of what the person was shown, and of nothing else", async () => {
    await expect(sign("bob", "bob", "e".repeat(64))).rejects.toMatchObject({
      code: "traces.not_open",
    });
    expect((await fixture.access.getGrant(fixture.caller("bob"), grant)).traces).toBe("open");
  });

  it.each([
    ["taken", "What {} left is not known yet."],
    ["clean", "{} left nothing behind: there is nothing to sign."],
  ] as const)("is refused where the comparison is %s", async (state, message) => {
    grant = await grantOf("anna");
    await compared(grant, state);
    await expect(sign("bob")).rejects.toMatchObject({
      code: "traces.not_open",
      message: message.replace("{}", grant),
    });
  });

  it("is asked for in the list of what is open", async () => {
    await grantOf("anna");
    const { access, caller } = fixture;
    const query = { scope: "all", openTraces: true, limit: 50 } as const;
    const ids = (await access.listGrants(caller("bob"), query)).rows.map(({ id }) => id);
    expect(ids).toEqual([grant]);
    await sign("bob");
    expect((await access.listGrants(caller("bob"), query)).rows).toEqual([]);
  });

  it("shows what others did at the time to those who judge it, not to the grant's own person", async () => {
    const { access, caller } = fixture;
    const [judged] = (await access.describeGrant(caller("bob"), grant)).comparison.traces;
    expect(judged?.maker.person).toBe("anna");
    expect(judged?.candidates).toHaveLength(2);
    const own = await access.describeGrant(caller("alice"), grant);
    expect(own.comparison.canSign).toBe(false);
    expect(JSON.stringify(own)).not.toMatch(/anna|grt_other|CREATE TABLE/);
  });

  it("shows what keeps a user from being removed, with its SQL, to administrators alone (invariant 18)", async () => {
    await fixture.store.db
      .updateTable("ephemeral_users")
      .set({ state: "quarantined", last_error: "host db.internal", remedy_sql: "DROP ROLE x;" })
      .where("grant_id", "=", grant)
      .execute();
    const { access, caller } = fixture;
    expect((await access.describeGrant(caller("dora"), grant)).obstacle).toEqual({
      problem: "host db.internal",
      sql: "DROP ROLE x;",
    });
    expect(JSON.stringify(await access.describeGrant(caller("bob"), grant))).not.toMatch(
      /internal/,
    );
  });

  it("is announced before: who asks and who approves read that the profile leaves traces", async () => {
    const { access, caller } = fixture;
    const [database] = await access.databasesFor(caller("alice"));
    const leaves = database?.profiles.map(({ name, leavesTraces }) => [name, leavesTraces]);
    expect(leaves).toContainEqual(["admin", ["can make objects in app"]]);
    expect(leaves).toContainEqual(["read-only", []]);
    const { rows } = await access.listRequests(caller("bob"), { scope: "all", limit: 50 });
    expect(rows[0]?.leavesTraces).toEqual(["can make objects in app"]);
  });
});
