// What a grant can do to the roles that it shares with others (invariant 33): default privileges on every version; before 16
// it can become them, too.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { testedVersions } from "../support/versions.ts";
import { catalogue, end, isGone } from "./ending.ts";
import { createFixture, type Fixture, sqlstateOf } from "./fixture.ts";

describe.each(testedVersions)("shared roles on the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await createFixture(version);
    await fixture.superuser("CREATE DATABASE other", "postgres");
  });
  afterAll(() => fixture.stop());

  const isBefore16 = () => fixture.server.majorVersion < 16;
  const databases = ["orders", "other", "postgres"];

  test.each(["read-only", "admin"])(
    "have the default privileges of their set-up, which are none, after a grant of %s (invariant 33)",
    async (profile) => {
      const before = await catalogue(fixture, databases);
      const user = await fixture.createUser(profile);
      const groups = [`jitdb_orders_${profile.replace("-", "_")}`, "jitdb_ephemeral"];
      for (const database of ["orders", "other"]) {
        const client = await fixture.login(user, database);
        for (const group of groups) {
          for (const [kind, right] of [
            ["TABLES", "ALL"],
            ["SEQUENCES", "USAGE"],
            ["FUNCTIONS", "EXECUTE"],
            ["TYPES", "USAGE"],
            ["SCHEMAS", "ALL"],
          ]) {
            const alter = `ALTER DEFAULT PRIVILEGES FOR ROLE ${group}`;
            await client
              .query(`${alter} GRANT ${right} ON ${kind} TO PUBLIC WITH GRANT OPTION`)
              .catch(
                // PUBLIC takes no grant option.
                () => client.query(`${alter} GRANT ${right} ON ${kind} TO PUBLIC`),
              );
            await client.query(
              `${alter} GRANT ${right} ON ${kind} TO "${user.name}" WITH GRANT OPTION`,
            );
            await client.query(`${alter} REVOKE ALL ON ${kind} FROM ${group}`);
          }
          const inSchema = `ALTER DEFAULT PRIVILEGES FOR ROLE ${group} IN SCHEMA public`;
          await client.query(
            `${inSchema} GRANT ALL ON TABLES TO PUBLIC, ${group}, jitdb_orders_admin`,
          );
        }
        await client.query(
          `ALTER DEFAULT PRIVILEGES FOR ROLE ${groups[0]} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC`,
        );
      }
      expect(await catalogue(fixture, databases)).not.toEqual(before);
      const messages = (await fixture.executor.inspect()).map(({ message }) => message).join("\n");
      expect(messages).toContain(`The group ${groups[0]} has default privileges or settings`);
      expect(messages).not.toContain("owns objects");
      const report = await end(fixture, user);
      expect(report.obstacles).toEqual([]);
      await isGone(fixture, user);
      expect(await catalogue(fixture, databases)).toEqual(before);
      expect(report.did).toContain(`took back the default privileges of ${groups[0]} in other`);
    },
  );

  test("have no settings after a grant that became them, which 16 and later refuse (invariants 33, 35)", async () => {
    const before = await catalogue(fixture, databases);
    const user = await fixture.createUser("read-only");
    const client = await fixture.login(user);
    for (const group of ["jitdb_orders_read_only", "jitdb_ephemeral"]) {
      const become = sqlstateOf(client.query(`SET ROLE ${group}`));
      expect(await become).toBe(isBefore16() ? undefined : "42501");
      if (isBefore16()) {
        await client.query("ALTER ROLE CURRENT_ROLE SET search_path = app");
        await client.query("ALTER ROLE CURRENT_ROLE IN DATABASE other SET work_mem = '1MB'");
        await client.query("RESET ROLE");
      } else {
        const change = client.query(`ALTER ROLE ${group} SET search_path = app`);
        expect(await sqlstateOf(change)).toBe("42501");
      }
    }
    expect((await end(fixture, user)).obstacles).toEqual([]);
    await isGone(fixture, user);
    expect(await catalogue(fixture, databases)).toEqual(before);
  });

  test("are given to nobody by a user, and neither is the user itself (invariant 32)", async () => {
    const user = await fixture.createUser("admin");
    const client = await fixture.login(user);
    for (const role of ["jitdb_orders_admin", "jitdb_ephemeral", user.name]) {
      expect(await sqlstateOf(client.query(`GRANT "${role}" TO shop`))).toBe("42501");
    }
    expect((await end(fixture, user)).gone).toBe(true);
  });

  test("keep what a grant made as them before 16, for nobody knows whose it is; the grant ends, and check names them", async () => {
    const user = await fixture.createUser("admin");
    const client = await fixture.login(user);
    const make = client.query(`SET ROLE jitdb_orders_admin; SELECT lo_create(4242);
      CREATE FUNCTION app.backdoor() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'`);
    expect(await sqlstateOf(make)).toBe(isBefore16() ? undefined : "42501");
    expect((await end(fixture, user)).obstacles).toEqual([]);
    await isGone(fixture, user);
    const messages = (await fixture.executor.inspect()).map(({ message }) => message).join("\n");
    expect(messages.includes("The group jitdb_orders_admin owns objects")).toBe(isBefore16());
    await fixture.superuser(
      "SELECT lo_unlink(oid) FROM pg_largeobject_metadata; DROP FUNCTION IF EXISTS app.backdoor()",
    );
  });

  test("keep no user from being gone where the admin role cannot go to restore them", async () => {
    const user = await fixture.createUser("read-only");
    const client = await fixture.login(user, "other");
    await client.query(
      "ALTER DEFAULT PRIVILEGES FOR ROLE jitdb_orders_read_only GRANT ALL ON TABLES TO PUBLIC",
    );
    await fixture.superuser("REVOKE CONNECT ON DATABASE other FROM PUBLIC");
    expect((await end(fixture, user)).obstacles).toEqual([]);
    await isGone(fixture, user);
    await fixture.superuser("GRANT CONNECT ON DATABASE other TO PUBLIC");
    const next = await fixture.createUser("read-only");
    expect((await end(fixture, next)).obstacles).toEqual([]);
    expect(await fixture.superuser("SELECT FROM pg_default_acl", "other")).toEqual([]);
  });
});
