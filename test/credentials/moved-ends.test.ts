// Ends that move: a soft one waits for transactions that run, and a grant that gets more time takes its user along.

import type pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Credentials } from "../../packages/server/src/credentials/service.ts";
import { openMemoryStore, type Store } from "../../packages/server/src/store/store.ts";
import type { GrantId } from "../../packages/shared/src/ids.ts";
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

const minute = 60_000;
const hour = 60 * minute;

let fixture: Fixture;
let store: Store;
let service: Credentials;
let owned: number[];
/** Runs, and may be set forward. */
const clock = { aheadMs: 0, now: () => Date.now() + clock.aheadMs };
/** What the gateway would say. */
let isDraining: boolean;

beforeAll(async () => {
  fixture = await createFixture("system");
});
afterAll(() => fixture.stop());
beforeEach(async () => {
  store = await openMemoryStore(systemClock);
  owned = [];
  isDraining = false;
  clock.aheadMs = 0;
  const sessions = {
    loginsSettled: async () => {},
    ownedBackends: () => owned,
    isDraining: () => isDraining,
  };
  service = createCredentials(store, fixture.database, { sessions, clock });
});
afterEach(async () => {
  await service.stop();
  await store.close();
});

/** A session of the grant's user, owned by the gateway, and when it ended. */
async function session(grant: GrantId): Promise<{ client: pg.Client; ended: Promise<number> }> {
  const { userName: name, password } = await service.userFor(grant);
  const client = await fixture.login({ name, password: password.reveal(), oid: 0, profile: "" });
  const ended = new Promise<number>((resolve) => client.once("end", () => resolve(clock.now())));
  owned.push((await client.query("SELECT pg_backend_pid() AS pid")).rows[0].pid);
  return { client, ended };
}

const role = async (grant: GrantId) => {
  const { user_name } = await ledgerRow(store, grant);
  const [row] = await fixture.superuser(
    `SELECT rolcanlogin, (extract(epoch FROM rolvaliduntil) - extract(epoch FROM clock_timestamp()))::float8
     FROM pg_roles WHERE rolname = '${user_name}'`,
  );
  return { canLogin: row?.[0], leftSeconds: Number(row?.[1]) };
};
const stateOf = async (grant: GrantId) => (await ledgerRow(store, grant)).state;

describe("a soft end", () => {
  test("stops logins at the end, and waits with the rest until the transactions are over", async () => {
    const grant = await addGrant(store, "prod-orders", "read-write", minute, "test", hour);
    await service.tick();
    const { client, ended } = await session(grant);
    await client.query("BEGIN");
    isDraining = true;
    clock.aheadMs += minute;
    await service.start();
    await until(async () => (await stateOf(grant)) === "draining");
    expect(await role(grant)).toMatchObject({ canLogin: false });
    expect((await client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    expect((await records(store)).map(({ kind }) => kind)).toEqual([
      "user.created",
      "user.draining",
    ]);
    isDraining = false;
    await ended;
    await until(async () => (await stateOf(grant)) === "dropped");
    const locked = (await records(store)).find(({ kind }) => kind === "user.locked");
    expect(locked).toMatchObject({ latenessMs: 0 });
  });

  test("goes on without them when their time is over, and is late from then on only (invariant 30)", async () => {
    const grant = await addGrant(store, "prod-orders", "read-write", minute, "test", 2000);
    await service.tick();
    const { client, ended } = await session(grant);
    await client.query("BEGIN");
    isDraining = true;
    clock.aheadMs += minute;
    await service.start();
    const row = await ledgerRow(store, grant);
    const lateness = (await ended) - (row.valid_until + row.drain_ms);
    expect(lateness).toBeGreaterThanOrEqual(0);
    expect(lateness).toBeLessThan(1000);
    await until(async () => (await stateOf(grant)) === "dropped");
    const locked = (await records(store)).find(({ kind }) => kind === "user.locked");
    expect(locked).toMatchObject({ latenessMs: expect.any(Number) });
    expect((locked as { latenessMs: number }).latenessMs).toBeLessThan(1000);
  });
});

describe("a grant that gets more time", () => {
  /** One conditional update, as whoever extends a grant has to do it. */
  async function extend(grant: GrantId, byMs: number): Promise<void> {
    const { ends_at } = await store.db
      .selectFrom("grants")
      .select("ends_at")
      .where("id", "=", grant)
      .executeTakeFirstOrThrow();
    const extended = await store.db
      .updateTable("grants")
      .set({ ends_at: ends_at + byMs })
      .where("id", "=", grant)
      .where("state", "=", "active")
      .where("ends_at", "=", ends_at)
      .where("ends_at", ">", clock.now())
      .returning("id")
      .execute();
    expect(extended).toHaveLength(1);
  }

  test("keeps its user beyond the old end, in the database, too", async () => {
    const grant = await addGrant(store, "prod-orders", "read-only", minute);
    await service.tick();
    const { client } = await session(grant);
    const before = await ledgerRow(store, grant);
    await extend(grant, hour);
    await service.start();
    await until(async () => (await ledgerRow(store, grant)).valid_until > before.valid_until);
    expect((await role(grant)).leftSeconds).toBeGreaterThan(3500);
    expect((await records(store)).at(-1)).toMatchObject({
      kind: "user.extended",
      grant,
      user: before.user_name,
      validUntil: new Date(before.valid_until + hour).toISOString(),
    });
    clock.aheadMs += minute;
    await service.tick();
    expect((await client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    expect(await ledgerRow(store, grant)).toMatchObject({ state: "created", end_due_at: null });
    await endNow(store, grant);
    await until(async () => (await stateOf(grant)) === "dropped");
  });

  test("is not ended because its user has not heard of it yet, nor made for less", async () => {
    const grant = await addGrant(store, "prod-orders", "read-only", minute);
    await extend(grant, hour);
    clock.aheadMs += minute;
    await service.tick();
    await service.tick();
    expect(await stateOf(grant)).toBe("created");
    expect((await role(grant)).leftSeconds).toBeGreaterThan(3400);
    await endNow(store, grant);
    await service.tick();
  });
});
