import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { LifeStep } from "../../packages/server/src/credentials/database-users.ts";
import { endSteps } from "../../packages/server/src/credentials/executor.ts";
import { openStore, type Store } from "../../packages/server/src/store/store.ts";
import type { GrantId } from "../../packages/shared/src/ids.ts";
import { testedVersions } from "../support/versions.ts";
import { createFixture, type Fixture } from "./fixture.ts";
import {
  addGrant,
  createCredentials,
  endNow,
  ledgerRow,
  systemClock,
  until,
} from "./service-fixture.ts";

const hour = 3_600_000;

describe.each(testedVersions)("a killed server on the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  let folder: string;
  beforeAll(async () => {
    fixture = await createFixture(version);
  });
  afterAll(() => fixture.stop());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "jitdb-crash-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function withStore<T>(work: (store: Store) => Promise<T>): Promise<T> {
    const store = await openStore({ folder, clock: systemClock, address: "test" });
    try {
      return await work(store);
    } finally {
      await store.close();
    }
  }

  /** Runs the service in a process until the given step; resolves with the signal that ended it. */
  function runChild(dieAfter: LifeStep | null): Promise<string | null> {
    const script = fileURLToPath(new URL("crash-child.ts", import.meta.url));
    const task = {
      folder,
      dieAfter,
      host: fixture.server.host,
      port: fixture.server.port,
      adminPassword: fixture.database.admin.password.reveal(),
    };
    return new Promise((resolve) => {
      const child = execFile(process.execPath, [script, JSON.stringify(task)], {
        timeout: 20_000,
      });
      child.once("exit", (_code, signal) => resolve(signal));
    });
  }

  async function finish(grant: GrantId, state: string): Promise<void> {
    await withStore(async (store) => {
      const service = createCredentials(store, fixture.database);
      await service.start();
      await until(async () => (await ledgerRow(store, grant)).state === state);
      await service.stop();
    });
  }

  test("between making a user and knowing it: the user is made whole, then ended (invariant 31)", async () => {
    const grant = await withStore((store) => addGrant(store, "prod-orders", "read-only", hour));
    expect(await runChild("create")).toBe("SIGKILL");
    expect(await fixture.executor.users("test")).toHaveLength(1);
    expect(await withStore((store) => ledgerRow(store, grant))).toMatchObject({
      state: "planned",
    });
    await finish(grant, "created");
    await withStore((store) => endNow(store, grant));
    await finish(grant, "dropped");
    expect(await fixture.executor.users("test")).toEqual([]);
  });

  test("between making a user and knowing it, and the end passes: nothing is left (invariant 31)", async () => {
    const grant = await withStore((store) => addGrant(store, "prod-orders", "read-only", hour));
    expect(await runChild("create")).toBe("SIGKILL");
    await withStore((store) => endNow(store, grant));
    await finish(grant, "dropped");
    expect(await fixture.executor.users("test")).toEqual([]);
  });

  test.each(endSteps)(
    "after the step %s of an end: nothing is left, and no access (invariant 31)",
    async (step) => {
      const grant = await withStore((store) => addGrant(store, "prod-orders", "admin", hour));
      await finish(grant, "created");
      const { user_name, password } = await withStore(async (store) => {
        const service = createCredentials(store, fixture.database);
        const user = await service.userFor(grant);
        await service.stop();
        return { user_name: user.userName, password: user.password.reveal() };
      });
      const login = { name: user_name, password, oid: 0, profile: "admin" };
      const client = await fixture.login(login);
      await client.query("CREATE TABLE app.mine (id int); CREATE VIEW app.seen AS SELECT 1");
      await client.query("BEGIN; ALTER ROLE CURRENT_USER PASSWORD 'mine'; PREPARE TRANSACTION 'p'");
      const ended = new Promise((resolve) => client.once("end", resolve));
      await withStore((store) => endNow(store, grant));
      expect(await runChild(step)).toBe("SIGKILL");
      await finish(grant, "dropped");
      await ended;
      await expect(fixture.login(login)).rejects.toThrow();
      expect(await fixture.executor.users("test")).toEqual([]);
      expect(await fixture.superuser("SELECT gid FROM pg_prepared_xacts")).toEqual([]);
      expect(await fixture.superuser("SELECT to_regclass('app.seen')")).toEqual([[null]]);
      await fixture.superuser("DROP TABLE app.mine");
    },
  );

  test("needs no second run where nobody killed it", async () => {
    const grant = await withStore((store) => addGrant(store, "prod-orders", "read-only", hour));
    expect(await runChild(null)).toBeNull();
    await withStore((store) => endNow(store, grant));
    expect(await runChild(null)).toBeNull();
    expect(await withStore((store) => ledgerRow(store, grant))).toMatchObject({
      state: "dropped",
    });
  });
});
