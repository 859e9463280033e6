import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type AccessFixture, createAccessFixture, minute } from "../access-fixture.ts";
import { type GrantLike, unusualIn } from "./background.ts";

const hour = 60 * minute;
const day = 24 * hour;

const grant = (fields: Partial<GrantLike> = {}): GrantLike => ({
  database: "prod-orders",
  profile: "read-only",
  startsAt: 9 * hour,
  durationMs: 30 * minute,
  ...fields,
});

describe("what is unusual in a request", () => {
  test("is the first use of a database, or of a profile of it", () => {
    expect(unusualIn(grant(), [])).toEqual(["first_database"]);
    expect(unusualIn(grant(), [grant({ database: "test" })])).toEqual(["first_database"]);
    expect(unusualIn(grant({ profile: "admin" }), [grant()])).toEqual(["first_profile"]);
    expect(unusualIn(grant(), [grant()])).toEqual([]);
  });

  test("is an hour at which the person never had access, around midnight, too; of nine grants nothing is usual yet", () => {
    const nights = Array.from({ length: 10 }, (_, n) => grant({ startsAt: n * day + 23.5 * hour }));
    expect(unusualIn(grant({ startsAt: 20 * day + 0.2 * hour }), nights)).toEqual([]);
    expect(unusualIn(grant({ startsAt: 20 * day + 2 * hour }), nights)).toEqual(["hour"]);
    expect(unusualIn(grant({ startsAt: 20 * day + 2 * hour }), nights.slice(1))).toEqual([]);
  });

  test("is a length above that of nine in ten", () => {
    const lengths = Array.from({ length: 10 }, (_, n) => grant({ durationMs: (n + 1) * minute }));
    expect(unusualIn(grant({ durationMs: 10 * minute }), lengths)).toEqual(["length"]);
    expect(unusualIn(grant({ durationMs: 9 * minute }), lengths)).toEqual([]);
  });
});

describe("the background of a request", () => {
  let fixture: AccessFixture;
  beforeEach(async () => {
    fixture = await createAccessFixture();
  });
  afterEach(async () => {
    await fixture.store.close();
  });

  const shipOutcomes = async (grant_id: string, outcomes: readonly object[]) => {
    const rows = outcomes.map((outcome, seq) => ({
      ...{ journal: "jrn", seq, at: 0, kind: "statement.outcome", person: "alice" },
      ...{ database_name: "test", grant_id, session_id: "ses_1", line: JSON.stringify(outcome) },
    }));
    await fixture.store.db.insertInto("audit_records").values(rows).execute();
  };
  const ask = async (database: string) =>
    await fixture.access.request(fixture.caller("alice"), {
      ...{ database, durationMs: 30 * minute, reason: "" },
    });

  test("is the person's last grants, and the privileges in plain words", async () => {
    const { access, caller } = fixture;
    const { grantId } = await ask("test");
    const { id } = await ask("prod-orders");
    expect(await access.requestBackground(caller("bob"), id)).toEqual({
      privileges: expect.any(String),
      lastGrants: [
        {
          id: grantId,
          database: "test",
          profile: "read-only",
          startsAt: "2026-01-01T00:00:00.000Z",
          durationSeconds: 1800,
          sessions: 0,
          statements: 0,
          kinds: null,
          readable: false,
        },
      ],
      unusual: ["first_database"],
    });
  });

  test("is for those who decide: the person that asked learns no more than the privileges, and others nothing at all", async () => {
    const { access, caller } = fixture;
    await ask("test");
    const { id } = await ask("prod-orders");
    expect(await access.requestBackground(caller("alice"), id)).toMatchObject({
      lastGrants: [],
      unusual: [],
    });
    await expect(access.requestBackground(caller("eve"), id)).rejects.toMatchObject({
      code: "request.unknown",
    });
  });

  test("counts the kinds of statements that ran in them", async () => {
    const { access, caller } = fixture;
    const { grantId } = await ask("test");
    await shipOutcomes(grantId ?? "", [
      { result: "complete", tag: "SELECT 5", bytesIn: 0 },
      { result: "complete", tag: "DROP TABLE", bytesIn: 0 },
      { result: "error", bytesIn: 0 },
    ]);
    const { id } = await ask("prod-orders");
    expect((await access.requestBackground(caller("bob"), id)).lastGrants).toMatchObject([
      { kinds: { reads: 1, writes: 0, schema: 1, others: 0, failed: 1 } },
    ]);
  });
});

describe("records of what a person did before", () => {
  let fixture: AccessFixture;
  beforeEach(async () => {
    fixture = await createAccessFixture();
  });
  afterEach(async () => {
    await fixture.store.close();
  });

  const input = { database: "prod-orders", durationMs: 30 * minute, reason: "" };
  const reads = (name: "bob" | "carol" | "dora" | "eve", grant: string | null) =>
    fixture.access.readsRecords(fixture.caller(name), grant ?? "");
  const granted = async () => {
    const { access, caller } = fixture;
    const { id } = await access.request(caller("alice"), { ...input, reason: "before" });
    return (await access.approve(caller("bob"), id, { comment: "" })).grantId;
  };

  test("are read by those who decide on the database, as long as they decide, and by administrators", async () => {
    const { access, caller } = fixture;
    const grant = await granted();
    expect(await reads("bob", grant)).toBe(false);
    expect(await reads("dora", grant)).toBe(true);
    const { id } = await access.request(caller("alice"), input);
    expect(await reads("bob", grant)).toBe(true);
    expect(await reads("carol", grant)).toBe(true);
    expect(await reads("eve", grant)).toBe(false);
    // A phished login of an approver's is a device that nobody confirmed.
    const phished = { ...caller("bob"), deviceConfirmed: false };
    expect(await access.readsRecords(phished, grant ?? "")).toBe(false);
    const { lastGrants } = await access.requestBackground(caller("bob"), id);
    expect(lastGrants).toMatchObject([{ id: grant, readable: true }]);
    await access.deny(caller("carol"), id, "");
    expect(await reads("bob", grant)).toBe(false);
  });

  test("are closed where the grant was on a database that others decide on, or was another person's", async () => {
    const { access, caller } = fixture;
    const { grantId: elsewhere } = await access.request(caller("alice"), {
      ...input,
      database: "test",
    });
    const grant = await granted();
    await access.request(caller("anna"), input);
    expect(await reads("bob", grant)).toBe(false);
    const { id } = await access.request(caller("alice"), input);
    expect(await reads("bob", elsewhere)).toBe(false);
    expect(await reads("bob", grant)).toBe(true);
    expect((await access.requestBackground(caller("bob"), id)).lastGrants).toEqual(
      expect.arrayContaining([expect.objectContaining({ id: elsewhere, readable: false })]),
    );
  });
});
