import { createServer, type Socket } from "node:net";
import type pg from "pg";
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  onTestFinished,
  test,
} from "vitest";
import type { Credentials } from "../../packages/server/src/credentials/service.ts";
import { createLogger } from "../../packages/server/src/logger.ts";
import { openMemoryStore, type Store } from "../../packages/server/src/store/store.ts";
import type { GrantId } from "../../packages/shared/src/ids.ts";
import { Secret } from "../../packages/shared/src/secret.ts";
import { testedVersions } from "../support/versions.ts";
import { createFixture, type Fixture, userName } from "./fixture.ts";
import {
  addGrant,
  createCredentials,
  endNow,
  ledgerRow,
  masterKey,
  records,
  systemClock,
  until,
} from "./service-fixture.ts";

const hour = 3_600_000;

describe.each(testedVersions)("credentials on the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  let store: Store;
  const services: Credentials[] = [];
  const owned: number[] = [];

  beforeAll(async () => {
    fixture = await createFixture(version, { log_statement: "all" });
  });
  afterAll(() => fixture.stop());
  beforeEach(async () => {
    store = await openMemoryStore(systemClock);
  });
  afterEach(async () => {
    await Promise.all(services.splice(0).map((service) => service.stop()));
    owned.splice(0);
    await store.close();
    const users = await fixture.executor.users("test");
    expect(users, "every test ends its users").toEqual([]);
  });

  function create(ports: Parameters<typeof createCredentials>[2] = {}): Credentials {
    const sessions = {
      loginsSettled: async () => {},
      ownedBackends: () => owned,
      isDraining: () => false,
    };
    const service = createCredentials(store, fixture.database, { sessions, ...ports });
    services.push(service);
    return service;
  }

  async function loginFor(service: Credentials, grant: GrantId): Promise<pg.Client> {
    const { userName: name, password } = await service.userFor(grant);
    return await fixture.login({ name, password: password.reveal(), oid: 0, profile: "" });
  }

  const kinds = async () => (await records(store)).map(({ kind }) => kind);

  test("makes the user of a grant, whose password works, and ends it in time", async () => {
    const service = create();
    const grant = await addGrant(store, "prod-orders", "read-only", 1500);
    expect(await service.userFor(grant)).toMatchObject({ state: "planned" });
    await service.tick();
    expect(await service.userFor(grant)).toMatchObject({ state: "created" });
    const client = await loginFor(service, grant);
    expect((await client.query("SELECT count(*)::int AS n FROM app.orders")).rows).toEqual([
      { n: 2 },
    ]);
    owned.push(await backendPid(client));
    const ended = new Promise((resolve) => client.once("end", resolve));
    const row = await ledgerRow(store, grant);
    await service.start();
    await ended;
    expect(Date.now() - row.valid_until).toBeLessThan(1000);
    await until(async () => (await ledgerRow(store, grant)).state === "dropped");
    expect(await kinds()).toEqual([
      "user.created",
      "user.terminated",
      "user.locked",
      "user.dropped",
    ]);
    expect((await records(store)).at(-1)).toMatchObject({
      kind: "user.dropped",
      database: "prod-orders",
      grant,
      user: row.user_name,
      person: expect.stringMatching(/^alice/),
      latenessMs: expect.any(Number),
    });
    expect((await ledgerRow(store, grant)).leased_by).toBeNull();
  });

  test("sets the end in the database, too, by the database's clock (invariant 31)", async () => {
    const service = create();
    const grant = await addGrant(store, "prod-orders", "read-only", hour);
    await service.tick();
    const { user_name } = await ledgerRow(store, grant);
    const [[left]] = (await fixture.superuser(
      `SELECT extract(epoch FROM rolvaliduntil - clock_timestamp())::float8 FROM pg_roles WHERE rolname = '${user_name}'`,
    )) as [[number]];
    expect(left).toBeGreaterThan(3590);
    expect(left).toBeLessThanOrEqual(3600);
    await endNow(store, grant);
    await service.tick();
  });

  test("never makes a user whose time is over, and ends it without having made it", async () => {
    const service = create();
    const grant = await addGrant(store, "prod-orders", "read-only", -1);
    await service.tick();
    expect((await ledgerRow(store, grant)).state).toBe("dropped");
    expect(await kinds()).not.toContain("user.created");
  });

  test("two servers make and end each user once (invariant 44)", async () => {
    const [one, other] = [create(), create()];
    const grants = await Promise.all(
      Array.from({ length: 6 }, () => addGrant(store, "prod-orders", "read-only", hour)),
    );
    const both = () => Promise.all([one.tick(), other.tick()]);
    await until(async () => {
      await both();
      return (await kinds()).length >= 6;
    });
    expect(await kinds()).toEqual(Array(6).fill("user.created"));
    await Promise.all(grants.map((grant) => endNow(store, grant)));
    await until(async () => {
      await both();
      return (await kinds()).filter((kind) => kind === "user.dropped").length >= 6;
    });
    expect((await kinds()).filter((kind) => kind === "user.locked")).toHaveLength(6);
    expect((await kinds()).filter((kind) => kind === "user.dropped")).toHaveLength(6);
  });

  test("ends a session within a second that came past the gateway with a password of its own (invariant 42)", async () => {
    const service = create();
    const grant = await addGrant(store, "prod-orders", "read-only", hour);
    await service.tick();
    const inside = await loginFor(service, grant);
    owned.push(await backendPid(inside));
    await inside.query("ALTER ROLE CURRENT_USER PASSWORD 'mine'");
    await service.start();
    const { user_name } = await ledgerRow(store, grant);
    const outside = await fixture.login({ name: user_name, password: "mine", oid: 0, profile: "" });
    const pid = await backendPid(outside).catch(() => undefined);
    const since = Date.now();
    await new Promise((resolve) => outside.once("end", resolve));
    expect(Date.now() - since).toBeLessThan(1000);
    await until(async () => (await kinds()).includes("user.stranger_terminated"));
    expect(await records(store)).toContainEqual(
      expect.objectContaining({
        kind: "user.stranger_terminated",
        user: user_name,
        grant,
        clientAddress: "127.0.0.1",
        ...(pid !== undefined && { pid }),
      }),
    );
    expect((await inside.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await endNow(store, grant);
    await until(async () => (await ledgerRow(store, grant)).state === "dropped");
    await expect(
      fixture.login({ name: user_name, password: "mine", oid: 0, profile: "" }),
    ).rejects.toThrow();
  });

  test("removes users of this installation that the ledger does not know, and no others (invariant 31)", async () => {
    const stray = await fixture.createUser("read-only");
    const session = await fixture.login(stray);
    const ended = new Promise((resolve) => session.once("end", resolve));
    const neighbour = await fixture.createUser("read-only", userName("tes"));
    const lookalike = await fixture.createUser("read-only", "jit_test_alice_notrandom");
    await create().tick();
    await ended;
    const rows = await fixture.superuser(
      "SELECT rolname FROM pg_roles WHERE rolname LIKE 'jit\\_%' ORDER BY 1",
    );
    expect(rows.flat()).toEqual([neighbour.name, lookalike.name].sort());
    expect(await records(store)).toContainEqual(
      expect.objectContaining({ kind: "user.dropped", user: stray.name }),
    );
    await fixture.superuser(`DROP ROLE "${neighbour.name}"; DROP ROLE "${lookalike.name}"`);
  });

  test("makes a user again that vanished from the database", async () => {
    const service = create();
    const grant = await addGrant(store, "prod-orders", "read-only", hour);
    await service.tick();
    const { user_name } = await ledgerRow(store, grant);
    await fixture.superuser(`DROP ROLE "${user_name}"`);
    const next = create();
    await next.tick();
    await next.tick();
    await loginFor(next, grant);
    await endNow(store, grant);
    await next.tick();
  });

  test("gives users new passwords after the master key was lost", async () => {
    const service = create();
    const grant = await addGrant(store, "prod-orders", "read-only", hour);
    await service.tick();
    const lost = await service.userFor(grant);
    const key = { id: "key-2", key: new Secret(Buffer.alloc(32, 8).toString("base64")) };
    const databases = new Map([[fixture.database.name, fixture.database]]);
    const next = create({ config: { databases, masterKey: key } });
    await next.start();
    await until(async () => (await ledgerRow(store, grant)).state === "created");
    expect(await ledgerRow(store, grant)).toMatchObject({ generation: 2, key_id: "key-2" });
    expect((await next.userFor(grant)).password.reveal()).not.toBe(lost.password.reveal());
    await loginFor(next, grant);
    await endNow(store, grant);
    await until(async () => (await ledgerRow(store, grant)).state === "dropped");
  });

  test("gives a user that has set its own password another one, once, on record (invariants 27, 42)", async () => {
    const service = create();
    const grant = await addGrant(store, "prod-orders", "read-only", hour);
    await service.tick();
    const client = await loginFor(service, grant);
    owned.push(await backendPid(client));
    await client.query("ALTER ROLE CURRENT_USER PASSWORD 'mine'");
    await expect(loginFor(service, grant)).rejects.toMatchObject({ code: "28P01" });
    const refused = await service.userFor(grant);
    await Promise.all([
      service.renewPassword(grant, refused),
      service.renewPassword(grant, refused),
    ]);
    expect(await service.userFor(grant)).toMatchObject({ state: "planned", generation: 2 });
    await service.tick();
    await service.renewPassword(grant, refused);
    expect(await service.userFor(grant)).toMatchObject({ state: "created", generation: 2 });
    const again = await loginFor(service, grant);
    expect((await client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await Promise.all([client.end(), again.end()]);
    expect(await kinds()).toEqual(["user.created", "user.password_renewed", "user.created"]);
    await endNow(store, grant);
    await service.tick();
  });

  test("refuses a user at OPEN whose group became dangerous (invariant 32)", async () => {
    const service = create();
    const grant = await addGrant(store, "prod-orders", "read-only", hour);
    await service.tick();
    await fixture.superuser("GRANT pg_read_all_data TO jitdb_orders_read_only");
    const { proven } = await service.userFor(grant);
    await expect(proven).rejects.toMatchObject({ code: "database.unsafe_profile" });
    await fixture.superuser("REVOKE pg_read_all_data FROM jitdb_orders_read_only");
    await (await service.userFor(grant)).proven;
    await endNow(store, grant);
    await service.tick();
  });

  test("quarantines what a person has to resolve, with the SQL, and finishes by itself after it", async () => {
    const clock = { offset: 0, now: () => Date.now() + clock.offset };
    const lines: string[] = [];
    const log = createLogger({ write: (line) => void lines.push(line) }, "json");
    const service = create({ clock, log });
    const grant = await addGrant(store, "prod-orders", "admin", hour);
    await service.tick();
    const client = await loginFor(service, grant);
    owned.push(await backendPid(client));
    await client.query("CREATE FUNCTION app.stuck() RETURNS int LANGUAGE sql AS 'SELECT 1'");
    await fixture.superuser("SET ROLE shop; CREATE VIEW app.stranger AS SELECT app.stuck()");
    await endNow(store, grant);
    const states: string[] = [];
    for (let run = 0; run < 5; run++) {
      await service.tick();
      states.push((await ledgerRow(store, grant)).state);
      clock.offset += 61_000;
    }
    expect(states).toEqual(["locked", "locked", "locked", "quarantined", "quarantined"]);
    const { remedy_sql, last_error, attempts } = await ledgerRow(store, grant);
    expect(attempts).toBe(5);
    expect(last_error).toContain("app.stuck()");
    expect((await kinds()).filter((kind) => kind === "user.quarantined")).toHaveLength(1);
    const told = lines.filter((line) => line.includes('"level":50'));
    expect(told.map((line) => JSON.parse(line))).toMatchObject([
      { database: "prod-orders", grant, remedy: remedy_sql },
    ]);
    await fixture.superuser((remedy_sql ?? "").replace('\\connect "orders"', ""));
    await service.tick();
    expect(await ledgerRow(store, grant)).toMatchObject({ state: "dropped", remedy_sql: null });
  });

  test("waits for a database that is away, and ends within a second after it is back (invariant 30)", async () => {
    const service = create();
    const grant = await addGrant(store, "prod-orders", "read-only", hour);
    await service.start();
    await until(async () => (await ledgerRow(store, grant)).state === "created");
    const late = await addGrant(store, "prod-orders", "read-only", hour);
    await fixture.server.crash();
    await endNow(store, grant);
    const { proven } = await service.userFor(grant);
    await expect(proven).rejects.toMatchObject({ code: "database.unavailable" });
    await until(async () => (await ledgerRow(store, grant)).last_error !== null);
    await fixture.server.restart();
    const back = Date.now();
    await until(async () => (await ledgerRow(store, grant)).state === "dropped", 2000);
    expect(Date.now() - back).toBeLessThan(1000);
    await until(async () => (await ledgerRow(store, late)).state === "created");
    expect((await ledgerRow(store, grant)).attempts).toBe(0);
    await endNow(store, late);
    await until(async () => (await ledgerRow(store, late)).state === "dropped");
  });

  test("a database that hangs delays no other", async () => {
    const hanging = { ...fixture.database, name: "hanging", port: await silentPort() };
    const databases = new Map([fixture.database, hanging].map((one) => [one.name, one]));
    const service = create({ config: { databases, masterKey } });
    await addGrant(store, "hanging", "read-only", hour);
    const grant = await addGrant(store, "prod-orders", "read-only", hour);
    await service.start();
    await until(async () => (await ledgerRow(store, grant)).state === "created", 1000);
    await endNow(store, grant);
    await until(async () => (await ledgerRow(store, grant)).state === "dropped", 1000);
  });

  test("hands users of a database that is no longer configured to a person", async () => {
    const grant = await addGrant(store, "prod-orders", "read-only", hour);
    const service = create();
    await service.tick();
    await endNow(store, grant);
    const without = create({ config: { databases: new Map(), masterKey } });
    await without.tick();
    const row = await ledgerRow(store, grant);
    expect(row).toMatchObject({
      state: "quarantined",
      remedy_sql: `DROP OWNED BY "${row.user_name}";\nDROP ROLE "${row.user_name}";\n`,
    });
    await store.db.updateTable("ephemeral_users").set({ next_attempt_at: 0 }).execute();
    await service.tick();
    expect((await ledgerRow(store, grant)).state).toBe("dropped");
  });
});

/** A port that takes connections and never says a word, until the test is over. */
async function silentPort(): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => sockets.add(socket.on("error", () => {})));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    for (const socket of sockets) {
      socket.destroy();
    }
    server.close();
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function backendPid(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
  return rows[0]?.pid ?? 0;
}
