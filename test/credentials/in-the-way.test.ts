// What stands in the way of an end: strangers' things, rights and locks, data that code hangs on. A person gets the SQL, and
// that SQL, run as it is printed, is enough (invariant 34).

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testedVersions } from "../support/versions.ts";
import { catalogue, end, isGone, runRemedy } from "./ending.ts";
import { createFixture, type Fixture } from "./fixture.ts";

describe.each(testedVersions)("what is in the way on the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await createFixture(version);
    await fixture.superuser("CREATE DATABASE other", "postgres");
    await fixture.superuser(
      'GRANT CREATE ON DATABASE orders TO jitdb_orders_admin; CREATE SCHEMA evil; ALTER SCHEMA evil RENAME TO "e""; --"; GRANT ALL ON SCHEMA "e""; --" TO jitdb_orders_admin, shop, jitdb_keeper',
    );
  });
  afterAll(() => fixture.stop());

  const databases = ["orders", "other"];

  interface Case {
    readonly what: string;
    /** Run by the user. */
    readonly mine: string;
    /** Run by somebody else: the role `shop`. */
    readonly theirs: string;
    /** Part of what the obstacle says; empty where nothing is in the way. */
    readonly says: string;
    /** By a superuser, when it is over. */
    readonly tidy: string;
  }

  const cases: readonly Case[] = [
    {
      what: "a stranger's view on the user's view",
      mine: "CREATE VIEW app.mine AS SELECT 1 AS a; GRANT ALL ON app.mine TO shop",
      theirs: "CREATE VIEW app.theirs AS SELECT * FROM app.mine",
      says: "view app.theirs depends on view app.mine",
      tidy: "",
    },
    {
      what: "a stranger's trigger that calls the user's function",
      mine: "CREATE FUNCTION app.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
      theirs:
        "CREATE TABLE app.t (id int); CREATE TRIGGER t BEFORE INSERT ON app.t FOR EACH ROW EXECUTE FUNCTION app.fire(); CREATE FUNCTION app.calls() RETURNS int BEGIN ATOMIC SELECT count(*)::int FROM app.t; END",
      says: "",
      tidy: "DROP TABLE app.t CASCADE",
    },
    {
      what: "a stranger's column of the user's type",
      mine: "CREATE TYPE app.mood AS ENUM ('sad')",
      theirs: "CREATE TABLE app.moods (m app.mood)",
      says: "",
      tidy: "DROP TABLE app.moods; DROP TYPE app.mood",
    },
    {
      what: "a stranger's table in the user's schema",
      mine: "CREATE SCHEMA mine; GRANT ALL ON SCHEMA mine TO shop",
      theirs: "CREATE TABLE mine.theirs (id int)",
      says: "",
      tidy: "DROP SCHEMA mine CASCADE",
    },
    {
      what: "a stranger's object with an evil name",
      mine: `CREATE FUNCTION "e""; --"."f""; --"() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
      theirs: `CREATE VIEW "e""; --"."v""\n; DROP TABLE app.orders; --" AS SELECT "e""; --"."f""; --"()`,
      says: `function "e""; --"."f""; --"()`,
      tidy: "",
    },
    {
      what: "a table that is partitioned by the user's function, with rows to keep",
      mine: `CREATE FUNCTION app.part(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
        CREATE TABLE app.parted (id int) PARTITION BY LIST (app.part(id)); CREATE TABLE app.parted_1 PARTITION OF app.parted DEFAULT;
        INSERT INTO app.parted VALUES (1)`,
      theirs: "",
      says: "table app.parted depends on function app.part(integer)",
      tidy: "",
    },
    {
      what: "rights that a stranger gave",
      mine: "",
      theirs:
        'GRANT SELECT ON app.secrets TO "<user>"; GRANT USAGE ON SCHEMA app TO "<user>"; ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT ALL ON TABLES TO "<user>"',
      says: "Somebody else gave <user> privileges on the",
      tidy: "",
    },
    {
      what: "a stranger's policy for the user",
      mine: "",
      theirs: 'CREATE POLICY p ON app.orders TO "<user>" USING (true)',
      says: "",
      tidy: "DROP POLICY IF EXISTS p ON app.orders",
    },
  ];

  test.each(cases)(
    "$what: the printed SQL ends it (invariant 34)",
    async ({ mine, theirs, says, tidy }) => {
      const before = await catalogue(fixture, databases);
      const user = await fixture.createUser("admin");
      const client = await fixture.login(user);
      await client.query(mine);
      await fixture.superuser(`SET ROLE shop; ${theirs.replaceAll("<user>", user.name)}`);
      const report = await end(fixture, user);
      expect(report.closed).toBe(true);
      const messages = report.obstacles.map(({ message }) => message).join("\n");
      expect(messages).toContain(says.replaceAll("<user>", user.name));
      expect(report.gone).toBe(says === "");
      if (!report.gone) {
        await expect(fixture.login(user)).rejects.toThrow();
        await runRemedy(fixture, report.obstacles, user);
      }
      await isGone(fixture, user);
      expect((await end(fixture, user)).gone).toBe(true);
      await fixture.superuser(tidy);
      expect(await catalogue(fixture, databases)).toEqual(before);
    },
  );
});
