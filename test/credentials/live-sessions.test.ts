// Invariant 30 on every version, at the database itself: whatever a session is at, and whatever has become of its client, it
// is dead within a second. The sessions go past the gateway, so that nothing but the executor ends them.

import type { Socket } from "node:net";
import type pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Credentials } from "../../packages/server/src/credentials/service.ts";
import { openMemoryStore, type Store } from "../../packages/server/src/store/store.ts";
import type { GrantId } from "../../packages/shared/src/ids.ts";
import { PostgresRelay } from "../support/postgres-relay.ts";
import { testedVersions } from "../support/versions.ts";
import { connect, createFixture, type Fixture, userName } from "./fixture.ts";
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
const promisedMs = 1000;
/** In the result list: in FROM all of it would be made before the first row comes. */
const endless = "SELECT repeat('x', 1000), generate_series(1, 1000000000)";

/** A gateway with no session of its own. */
const noSessions = {
  loginsSettled: async () => {},
  ownedBackends: (): readonly number[] => [],
  isDraining: () => false,
};

interface Work {
  readonly what: string;
  /** Leaves the session in the middle of something. */
  begin(client: pg.Client): Promise<void> | void;
}

const works: readonly Work[] = [
  { what: "at rest", begin() {} },
  { what: "asleep", begin: (client) => forget(client.query("SELECT pg_sleep(600)")) },
  {
    what: "busy",
    begin: (client) =>
      forget(client.query("SELECT count(*) FROM generate_series(1, 1000000000000)")),
  },
  {
    what: "in a transaction that holds locks",
    async begin(client) {
      await client.query("BEGIN; UPDATE app.orders SET item = item; LOCK TABLE app.secrets");
    },
  },
  {
    what: "in a failed transaction",
    async begin(client) {
      await client.query("BEGIN");
      await client.query("SELECT 1 / 0").catch(() => {
        // What was wanted.
      });
    },
  },
  {
    what: "sending a COPY",
    begin(client) {
      // pg refuses by itself what it has no rows for.
      connectionOf(client).sendCopyFail = () => {};
      forget(client.query("COPY app.orders FROM STDIN"));
    },
  },
  {
    what: "waiting for somebody's lock",
    begin: (client) => forget(client.query("SELECT FROM pg_advisory_lock(1)")),
  },
  {
    what: "reading nothing of a query",
    begin(client) {
      streamOf(client).pause();
      forget(client.query(endless));
    },
  },
  {
    what: "reading nothing of a COPY",
    begin(client) {
      streamOf(client).pause();
      forget(client.query(`COPY (${endless}) TO STDOUT`));
    },
  },
  {
    what: "in a function that catches what it can",
    begin: (client) =>
      forget(
        client.query(`DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60);
          EXCEPTION WHEN OTHERS OR query_canceled THEN NULL; END; END LOOP; END $$`),
      ),
  },
  {
    what: "asleep, with a client that was killed",
    async begin(client) {
      forget(client.query("SELECT pg_sleep(600)"));
      await new Promise((resolve) => streamOf(client).write("", resolve));
      streamOf(client).destroy();
    },
  },
];

describe.each(testedVersions)("live sessions on the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  let store: Store;
  let service: Credentials;
  let owned: number[] = [];
  beforeAll(async () => {
    fixture = await createFixture(version);
    await fixture.superuser("GRANT UPDATE ON app.secrets, app.orders TO jitdb_orders_read_write");
  });
  afterAll(() => fixture.stop());
  beforeEach(async () => {
    owned = [];
    store = await openMemoryStore(systemClock);
    const sessions = { ...noSessions, ownedBackends: () => owned };
    service = createCredentials(store, fixture.database, { sessions });
  });
  afterEach(async () => {
    await service.stop();
    await store.close();
  });

  /** A session of the grant that the gateway would call its own. */
  async function open(grant: GrantId, port = fixture.server.port): Promise<pg.Client> {
    const user = await service.userFor(grant);
    const login = { name: user.userName, password: user.password.reveal() };
    const client = await connect({ host: fixture.server.host, port }, login, "orders");
    const { rows } = await client.query<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    owned.push(rows[0]?.pid ?? 0);
    return client;
  }

  async function sessionsOf(name: string): Promise<number> {
    const rows = await fixture.superuser(
      `SELECT FROM pg_stat_activity WHERE usename = '${name}' OR pid = ANY ('{${owned.join()}}')`,
    );
    return rows.length;
  }

  async function startedGrant(): Promise<{ grant: GrantId; name: string }> {
    const grant = await addGrant(store, "prod-orders", "read-write", hour);
    await service.tick();
    return { grant, name: (await ledgerRow(store, grant)).user_name };
  }

  async function latenessOf(kind: "user.locked" | "user.dropped"): Promise<number> {
    const found = (await records(store)).find((record) => record.kind === kind);
    return found !== undefined && "latenessMs" in found ? (found.latenessMs ?? -1) : -1;
  }

  test("are all dead a second after the end, whatever they are at, and the lateness is on record (invariant 30)", async () => {
    const { grant, name } = await startedGrant();
    const relay = await PostgresRelay.start(fixture.server);
    const blocker = await fixture.superuserClient();
    await blocker.query("SELECT pg_advisory_lock(1)");
    for (const { begin } of works) {
      await begin(await open(grant));
    }
    const halfOpen = await open(grant, relay.port);
    forget(halfOpen.query("SELECT pg_sleep(600)"));
    await until(async () => {
      const rows = await fixture.superuser(
        `SELECT FROM pg_stat_activity WHERE usename = '${name}' AND state = 'active'`,
      );
      return rows.length >= works.length - 3 + 1;
    });
    relay.silenceSessions();
    expect(await sessionsOf(name)).toBe(works.length + 1);
    await service.start();
    const endedAt = Date.now();
    await endNow(store, grant);
    await until(async () => (await sessionsOf(name)) === 0, 3 * promisedMs);
    expect(Date.now() - endedAt).toBeLessThan(promisedMs);
    await until(async () => (await ledgerRow(store, grant)).state === "dropped");
    const terminated = (await records(store)).find(({ kind }) => kind === "user.terminated");
    expect(terminated).toMatchObject({ backends: works.length + 1 });
    expect(await latenessOf("user.locked")).toBeGreaterThanOrEqual(0);
    expect(await latenessOf("user.locked")).toBeLessThan(promisedMs);
    expect(await latenessOf("user.dropped")).toBeGreaterThanOrEqual(0);
    await blocker.end();
    await relay.close();
    expect(await fixture.superuser("SELECT count(*)::int FROM app.orders")).toEqual([[2]]);
  });

  test("end for good under a storm of logins that goes on over the end (invariant 29)", async () => {
    const { grant, name } = await startedGrant();
    const password = (await service.userFor(grant)).password.reveal();
    const login = { name, password };
    // Nobody looks for strangers: the end alone has to cope.
    const blind = () => Promise.reject(new Error("It does not look."));
    const alone = createCredentials(store, fixture.database, {
      sessions: { ...noSessions, loginsSettled: blind },
    });
    let isOver = false;
    let succeeded = 0;
    let lastLoginAt = 0;
    const storm = Array.from({ length: 6 }, async () => {
      while (!isOver) {
        await connect(fixture.server, login, "orders").then(
          async (client) => {
            succeeded += 1;
            lastLoginAt = Date.now();
            await client.query("SELECT pg_sleep(600)").catch(() => {
              // Terminated, as it should be.
            });
            await client.end().catch(() => {
              // Gone already.
            });
          },
          () => {
            // Refused: the role is locked, or gone.
          },
        );
      }
    });
    try {
      await until(async () => succeeded >= storm.length);
      const endedAt = Date.now();
      await endNow(store, grant);
      await alone.tick();
      expect(await ledgerRow(store, grant)).toMatchObject({ state: "dropped" });
      expect(await sessionsOf(name)).toBe(0);
      expect(lastLoginAt - endedAt).toBeLessThan(promisedMs);
    } finally {
      isOver = true;
      await Promise.all(storm);
      await alone.stop();
    }
    expect(await sessionsOf(name)).toBe(0);
  });

  test("of another installation on the same cluster are nobody's but its own (invariant 31)", async () => {
    const { grant, name } = await startedGrant();
    const others = await openMemoryStore(systemClock);
    const otherService = createCredentials(others, fixture.database, { installation: "other" });
    const otherGrant = await addGrant(others, "prod-orders", "read-write", hour, "other");
    await otherService.tick();
    const { user_name: otherName } = await ledgerRow(others, otherGrant);
    expect(otherName).toMatch(/^jit_other_/);
    const mine = await open(grant);
    // The other one owns none of these sessions, and looks for strangers all the time.
    await Promise.all([service.start(), otherService.start()]);
    const stray = await fixture.createUser("read-only", userName("other"));
    await until(async () => (await fixture.executor.users("other")).length === 2);
    await endNow(others, otherGrant);
    await until(async () => (await ledgerRow(others, otherGrant)).state === "dropped");
    expect((await mine.query("SELECT current_user AS name")).rows).toEqual([{ name }]);
    const roles = (await fixture.executor.users("test")).map((role) => role.name);
    expect(roles).toEqual([name]);
    await endNow(store, grant);
    await until(async () => (await ledgerRow(store, grant)).state === "dropped");
    // Made behind its back after it had compared: found by the next start.
    expect(await fixture.executor.users("other")).toEqual([{ name: stray.name, oid: stray.oid }]);
    await otherService.stop();
    const again = createCredentials(others, fixture.database, { installation: "other" });
    await again.tick();
    expect(await fixture.executor.users("other")).toEqual([]);
    await again.stop();
    await others.close();
  });
});

/** The end of the session is what the test looks at; how the statement hears of it does not matter. */
function forget(statement: Promise<unknown>): void {
  statement.catch(() => {});
}

interface Wire {
  readonly stream: Socket;
  sendCopyFail(message: string): void;
}

function connectionOf(client: pg.Client): Wire {
  return (client as unknown as { connection: Wire }).connection;
}

function streamOf(client: pg.Client): Socket {
  return connectionOf(client).stream;
}
