import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkDatabase } from "../../packages/server/src/credentials/service.ts";
import { postgresEngine } from "../../packages/server/src/engines/postgres/engine.ts";
import { Secret } from "../../packages/shared/src/secret.ts";
import { testedVersions } from "../support/versions.ts";
import { createFixture, type Fixture, setUp, sqlstateOf, verifierOf } from "./fixture.ts";

const denied = "42501";

describe.each(testedVersions)("profiles on the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await createFixture(version, { log_statement: "all" });
  });
  afterAll(() => fixture.stop());

  /** Which of some statements a login with the profile is refused. */
  async function refusals(profile: string, statements: readonly string[]): Promise<string[]> {
    const client = await fixture.login(await fixture.createUser(profile));
    const refused: string[] = [];
    for (const statement of statements) {
      if ((await sqlstateOf(client.query(`BEGIN; ${statement}; ROLLBACK`))) === denied) {
        refused.push(statement);
      }
      await client.query("ROLLBACK");
    }
    return refused;
  }

  const read = ["SELECT * FROM app.orders", "SELECT last_value FROM app.orders_id_seq"];
  const write = [
    "INSERT INTO app.orders (item) VALUES ('bed')",
    "UPDATE app.orders SET item = 'sofa'",
    "DELETE FROM app.orders",
  ];
  const change = ["TRUNCATE app.orders", "CREATE TABLE app.mine (id int)"];
  const never = [
    "CREATE TRIGGER t BEFORE INSERT ON app.orders EXECUTE FUNCTION pg_catalog.suppress_redundant_updates_trigger()",
    "SELECT * FROM closed.hidden",
    "SELECT rolpassword FROM pg_catalog.pg_authid",
    "SET ROLE jitdb_admin",
    "SET ROLE shop",
    "SET ROLE jitdb_keeper",
    "COPY app.orders TO PROGRAM 'true'",
    "DROP TABLE app.orders",
    "CREATE ROLE other",
    "CREATE SCHEMA other",
  ];

  test("read-only reads and does nothing else", async () => {
    const all = [...read, ...write, ...change, ...never];
    expect(await refusals("read-only", all)).toEqual([...write, ...change, ...never]);
  });

  test("read-write changes rows and nothing else", async () => {
    const all = [...read, ...write, ...change, ...never];
    expect(await refusals("read-write", all)).toEqual([...change, ...never]);
  });

  test("admin makes tables in its schemas and has no role's rights but its group's", async () => {
    const all = [...read, ...write, ...change, ...never];
    expect(await refusals("admin", all)).toEqual(never);
  });

  test("covers tables that an owner makes later", async () => {
    await fixture.superuser("SET ROLE shop; CREATE TABLE app.later (id int)");
    expect(await refusals("read-only", ["SELECT * FROM app.later"])).toEqual([]);
  });

  test("lets nobody become the group from version 16 on", async () => {
    const refused = await refusals("read-write", ["SET ROLE jitdb_orders_read_write"]);
    expect(refused.length).toBe(fixture.server.majorVersion >= 16 ? 1 : 0);
  });

  test("refuses a group that reaches forbidden rights through three roles (invariant 32)", async () => {
    await fixture.superuser(`CREATE ROLE a; CREATE ROLE b; CREATE ROLE c CREATEDB;
      GRANT pg_read_all_data TO c; GRANT c TO b; GRANT b TO a; GRANT a TO jitdb_orders_read_write`);
    try {
      const described = fixture.executor.describeCreation({ name: "jit_1", profile: "read-write" });
      await expect(described).rejects.toMatchObject({ code: "database.unsafe_profile" });
      await expect(fixture.createUser("read-write")).rejects.toMatchObject({
        code: "database.unsafe_profile",
        detail: expect.stringMatching(/createdb \(through c\), pg_read_all_data/),
      });
      const problems = await fixture.executor.inspect();
      expect(problems.map(({ message }) => message).join()).toContain("createdb (through c)");
    } finally {
      await fixture.superuser(
        "REVOKE a FROM jitdb_orders_read_write; DROP ROLE a; DROP ROLE b; DROP ROLE c",
      );
    }
  });

  test("refuses a user again whose group became dangerous after the grant (invariant 32)", async () => {
    const user = await fixture.createUser("read-only");
    await fixture.executor.assertSafe(user);
    await fixture.superuser(`GRANT pg_monitor TO "${user.name}"`);
    await expect(fixture.executor.assertSafe(user)).rejects.toMatchObject({
      code: "database.unsafe_profile",
    });
  });

  test("allows what the configuration names", async () => {
    const profile = fixture.database.profiles.get("read-only");
    if (profile === undefined) {
      throw new Error("The fixture has a read-only profile.");
    }
    await fixture.superuser("GRANT pg_monitor TO jitdb_orders_read_only");
    const allowing = postgresEngine.createExecutor({
      ...fixture.database,
      profiles: new Map([
        [
          "read-only",
          {
            ...profile,
            allowPrivileges: [
              "pg_monitor",
              "pg_read_all_settings",
              "pg_read_all_stats",
              "pg_stat_scan_tables",
            ],
          },
        ],
      ]),
    });
    try {
      const verifier = await verifierOf("x");
      const name = "jit_test_bob_0000000000000";
      const made = await allowing.create({
        name,
        profile: "read-only",
        verifier,
        validForMs: 60_000,
      });
      expect(made.oid).toBeGreaterThan(0);
    } finally {
      await allowing.close();
      await fixture.superuser("REVOKE pg_monitor FROM jitdb_orders_read_only");
    }
  });

  test("finds the printed set-up complete, also when it was run twice", async () => {
    await setUp(fixture);
    const problems = await checkDatabase([postgresEngine], fixture.database);
    expect(problems.filter(({ severity }) => severity === "error")).toEqual([]);
    const warnings = problems.map(({ message }) => message).join("\n");
    // The throwaway server's pg_hba.conf lets everybody in from everywhere on this machine.
    expect(warnings).toMatch(/lets ephemeral users in past the gateway: over TCP/);
    expect(warnings).toMatch(/through the Unix socket/);
    expect(/equals|give itself/.test(warnings)).toBe(fixture.server.majorVersion < 16);
  });

  test("names every part of the set-up that is missing", async () => {
    await fixture.superuser(`ALTER ROLE jitdb_keeper RENAME TO elsewhere;
      REVOKE pg_signal_backend FROM jitdb_admin; ALTER ROLE jitdb_admin NOCREATEROLE`);
    const problems = await fixture.executor.inspect();
    await fixture.superuser(`ALTER ROLE elsewhere RENAME TO jitdb_keeper;
      GRANT pg_signal_backend TO jitdb_admin; ALTER ROLE jitdb_admin CREATEROLE`);
    const errors = problems.filter(({ severity }) => severity === "error");
    expect(errors.map(({ message }) => message)).toEqual([
      "The admin role may not make roles.",
      "The role jitdb_keeper is missing.",
      "The admin role may not end sessions that outlive their role.",
    ]);
    expect(errors.every(({ fix }) => fix !== "")).toBe(true);
  });

  test("keeps passwords out of the server's log, of failing statements too (invariant 36)", async () => {
    const user = await fixture.createUser("read-only");
    const again = await fixture.createUser("read-only", user.name);
    await fixture.superuser("ALTER ROLE jitdb_admin NOCREATEROLE");
    await expect(fixture.createUser("read-only")).rejects.toThrow();
    await fixture.superuser("ALTER ROLE jitdb_admin CREATEROLE");
    const log = await fixture.log();
    expect(log).toContain(`CREATE ROLE "${user.name}" LOGIN PASSWORD 'SCRAM-SHA-256$`);
    expect(log).toContain("permission denied");
    for (const password of [
      user.password,
      again.password,
      fixture.database.admin.password.reveal(),
    ]) {
      expect(log).not.toContain(password);
    }
  });

  test("gives an adopted user the new password and the right memberships alone", async () => {
    const first = await fixture.createUser("read-only");
    await fixture.admin(
      `GRANT jitdb_orders_admin TO "${first.name}"; ALTER ROLE "${first.name}" SET work_mem = '1MB'`,
    );
    const second = await fixture.createUser("read-only", first.name);
    expect(second.oid).toBe(first.oid);
    await expect(fixture.login(first)).rejects.toThrow(/password/);
    const client = await fixture.login(second);
    expect((await client.query("SHOW work_mem")).rows).toEqual([{ work_mem: "4MB" }]);
    expect(await sqlstateOf(client.query("TRUNCATE app.orders"))).toBe(denied);
  });

  test("says so when the admin's password is wrong, and when the database is away", async () => {
    const wrong = postgresEngine.createExecutor({
      ...fixture.database,
      admin: { user: "jitdb_admin", password: new Secret("wrong") },
    });
    const away = postgresEngine.createExecutor({ ...fixture.database, port: 1 });
    expect((await wrong.inspect()).map(({ message }) => message)[0]).toMatch(
      /refuses the server's admin role/,
    );
    await expect(wrong.users("test")).rejects.toMatchObject({ code: "database.misconfigured" });
    await expect(away.users("test")).rejects.toMatchObject({ code: "database.unavailable" });
    await Promise.all([wrong.close(), away.close()]);
  });

  test("a dry run shows the statements that make a user, as the server's own log has them", async () => {
    const name = "jit_ab1_alice_aaaaaaaaaaaaa";
    const [before, shown] = await Promise.all([
      fixture.log(),
      fixture.executor.describeCreation({ name, profile: "read-write" }),
    ]);
    expect(await fixture.superuser(`SELECT FROM pg_roles WHERE rolname = '${name}'`)).toEqual([]);
    await fixture.createUser("read-write", name);
    const log = (await fixture.log()).slice(before.length);
    const ran = [
      ...log.matchAll(/(?:statement|execute [^:]*): ((?:CREATE|ALTER|GRANT|REVOKE) .*)/g),
    ];
    const marked = ran.map(([, statement = ""]) =>
      statement
        .replace(/'SCRAM-SHA-256[^']*'/, "'<verifier>'")
        .replace(/VALID UNTIL '[^']*'/, "VALID UNTIL '<end>'")
        .replace('"jitdb_admin"', '"<admin>"'),
    );
    expect(shown).toEqual(marked);
    expect(shown).toHaveLength(2);
  });
});
