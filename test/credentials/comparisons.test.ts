// The comparison after a grant's end, with the service, the store and the records that name the makers (invariant 33).

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { AttributedTrace } from "../../packages/server/src/credentials/comparisons/attribution.ts";
import type { Credentials } from "../../packages/server/src/credentials/service.ts";
import { createLogger } from "../../packages/server/src/logger.ts";
import { openMemoryStore, type Store } from "../../packages/server/src/store/store.ts";
import type { GrantId } from "../../packages/shared/src/ids.ts";
import { testedVersions } from "../support/versions.ts";
import { createFixture, type Fixture } from "./fixture.ts";
import {
  addGrant,
  createCredentials,
  endNow,
  ledgerRow,
  records,
  systemClock,
  until,
} from "./service-fixture.ts";

const hour = 3_600_000;

describe.each(testedVersions)("comparisons on the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  let store: Store;
  let service: Credentials;
  let seq = 0;
  beforeAll(async () => {
    fixture = await createFixture(version);
  });
  afterAll(() => fixture.stop());
  beforeEach(async () => {
    store = await openMemoryStore(systemClock);
    service = createCredentials(store, fixture.database);
  });
  afterEach(async () => {
    await service.stop();
    await store.close();
  });

  async function start(profile: string): Promise<GrantId> {
    const grant = await addGrant(store, "prod-orders", profile, hour);
    await service.tick();
    expect(await service.userFor(grant)).toMatchObject({ state: "created" });
    return grant;
  }

  /** Runs a statement as the grant's user, and puts what the gateway would record into the store. */
  async function run(grant: GrantId, text: string): Promise<void> {
    const { userName: name, password } = await service.userFor(grant);
    const client = await fixture.login({ name, password: password.reveal(), oid: 0, profile: "" });
    await client.query(text);
    await client.end();
    await ship({ kind: "statement.intent", grant, statement: `stm_${seq}`, text });
  }

  async function ship(record: { kind: string; grant: string } & Record<string, unknown>) {
    seq++;
    await store.db
      .insertInto("audit_records")
      .values({
        journal: "j",
        seq,
        at: systemClock.now(),
        kind: record.kind,
        grant_id: record.grant,
        line: JSON.stringify(record),
      })
      .execute();
  }

  /** Ends the grant, ships its last records, and waits for its comparison. */
  async function end(grant: GrantId) {
    await endNow(store, grant);
    await until(async () => {
      await service.tick();
      return (await ledgerRow(store, grant)).state === "dropped";
    });
    expect((await row(grant)).state, "waits for the records").toBe("taken");
    for (const event of await records(store)) {
      if (event.grant === grant) {
        await ship({ ...event, grant });
      }
    }
    await until(async () => {
      await service.tick();
      return (await row(grant)).state !== "taken";
    });
    const { traces, ...rest } = await row(grant);
    return { ...rest, traces: JSON.parse(traces) as AttributedTrace[] };
  }

  const row = (grant: GrantId) =>
    store.db
      .selectFrom("comparisons")
      .selectAll()
      .where("grant_id", "=", grant)
      .executeTakeFirstOrThrow();

  test("closes a grant that left nothing by itself, and says so in the audit (invariant 33)", async () => {
    const grant = await start("read-write");
    await run(grant, "INSERT INTO app.orders (item) VALUES ('stool')");
    expect(await end(grant)).toMatchObject({
      state: "clean",
      traces: [],
      gaps: "[]",
      snapshot: null,
    });
    expect((await records(store)).at(-1)).toMatchObject({ kind: "traces.none", grant });
  });

  test("leaves open what a grant left, with its maker and the statement (invariant 33)", async () => {
    const grant = await start("admin");
    await run(grant, "CREATE TABLE app.kept (id int)");
    await run(grant, "INSERT INTO app.kept VALUES (1)");
    const { state, traces, digest } = await end(grant);
    expect(state).toBe("open");
    expect(traces).toMatchObject([
      {
        kind: "table",
        identity: "app.kept",
        maker: {
          certainty: "owner",
          grant,
          person: expect.stringMatching(/^alice/),
          text: "CREATE TABLE app.kept (id int)",
        },
      },
    ]);
    expect((await records(store)).at(-1)).toMatchObject({
      kind: "traces.found",
      grant,
      traces: 1,
      digest,
      found: [expect.stringMatching(/^new table app\.kept in orders, by alice-\S+ with stm_/)],
    });
    await fixture.superuser(traces[0]?.undo ?? "");
  });

  test("tells which of two grants at once left it, and lists it once (invariant 33)", async () => {
    const [one, other] = [await start("admin"), await start("admin")];
    await run(one, "CREATE TABLE app.of_one (id int)");
    expect((await end(one)).traces).toMatchObject([
      { maker: { certainty: "owner", grant: one }, candidates: [{ grant: one }, { grant: other }] },
    ]);
    expect(await end(other)).toMatchObject({ state: "clean", traces: [] });
    await fixture.superuser("DROP TABLE app.of_one");
  });

  test("waits until the database is back, and says so meanwhile (invariant 33)", async () => {
    const grant = await start("admin");
    await fixture.superuser("ALTER ROLE jitdb_admin CONNECTION LIMIT 0");
    const before = await row(grant);
    await store.db
      .updateTable("ephemeral_users")
      .set({ state: "dropped", dropped_at: systemClock.now() - 60_000 })
      .where("grant_id", "=", grant)
      .execute();
    await service.stop();
    service = createCredentials(store, fixture.database);
    await service.tick();
    expect(await row(grant)).toMatchObject({
      state: "taken",
      snapshot: before.snapshot,
      problem: expect.stringMatching(/^The comparison waits: prod-orders/),
    });
    await fixture.superuser("ALTER ROLE jitdb_admin CONNECTION LIMIT -1");
    await until(async () => {
      await service.tick();
      return (await row(grant)).state !== "taken";
    });
    const [user] = await fixture.executor.users("test");
    await fixture.superuser(`DROP OWNED BY ${user?.name}; DROP ROLE ${user?.name}`);
  });

  test("compares once, whoever else does it at the same time (invariant 44)", async () => {
    const grant = await start("admin");
    const second = createCredentials(store, fixture.database);
    await endNow(store, grant);
    await until(async () => {
      await service.tick();
      return (await ledgerRow(store, grant)).state === "dropped";
    });
    await ship({ kind: "user.dropped", grant });
    await until(async () => {
      await Promise.all([service.tick(), second.tick()]);
      return (await row(grant)).state !== "taken";
    });
    const kinds = (await records(store)).map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind.startsWith("traces."))).toEqual(["traces.none"]);
    await second.stop();
  });

  test("knows which profiles can leave traces as soon as the database answers (invariant 33)", async () => {
    const asConfigured = service.waysToLeaveTraces("prod-orders", "admin");
    expect(asConfigured).toEqual(["can make objects in app"]);
    await fixture.superuser("GRANT CREATE ON SCHEMA app TO jitdb_orders_read_write");
    await service.tick();
    await fixture.superuser("REVOKE CREATE ON SCHEMA app FROM jitdb_orders_read_write");
    expect(service.waysToLeaveTraces("prod-orders", "read-write")).not.toEqual([]);
    expect(service.waysToLeaveTraces("prod-orders", "read-only")).toEqual([]);
    expect(service.waysToLeaveTraces("prod-orders", "admin")[0]).toBe("can make objects in app");
  });

  test("says once why profiles cannot be looked at, however often it tries", async () => {
    let now = systemClock.now();
    const lines: string[] = [];
    const away = createCredentials(
      store,
      { ...fixture.database, host: "127.0.0.1", port: 1 },
      {
        clock: { now: () => now },
        log: createLogger({ write: (line) => void lines.push(line) }, "json"),
      },
    );
    for (let tries = 0; tries < 3; tries++) {
      await away.tick();
      now += 10_000;
    }
    await away.stop();
    expect(lines.filter((line) => line.includes("could not look at profiles"))).toHaveLength(1);
  });
});
