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
        expect.objectContaining({ id: grantId, database: "test", sessions: 0, statements: 0 }),
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
});
