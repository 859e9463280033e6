import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PersonId } from "@jitdb/shared/ids";
import { sql } from "kysely";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openMemoryStore, openStore, type Store } from "./store.ts";

const clock = { now: () => 1_700_000_000_000 };
const address = "127.0.0.1:7432";
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "jitdb-store-"));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("the store", () => {
  test("keeps what was written when it is opened again", async () => {
    const first = await openStore({ folder, clock, address });
    await addSetting(first, "installation", "abc");
    await first.close();
    const second = await openStore({ folder, clock, address });
    expect(await settings(second)).toEqual([{ key: "installation", value: "abc" }]);
    await second.close();
  });

  test("runs with a log, full synchronisation and foreign keys at every open", async () => {
    for (const _ of ["made", "opened again"]) {
      const store = await openStore({ folder, clock, address });
      const pragma = async (name: string) =>
        (await sql<Record<string, unknown>>`${sql.raw(`pragma ${name}`)}`.execute(store.db))
          .rows[0];
      expect(await pragma("journal_mode")).toEqual({ journal_mode: "wal" });
      expect(await pragma("synchronous")).toEqual({ synchronous: 2 });
      expect(await pragma("foreign_keys")).toEqual({ foreign_keys: 1 });
      await store.close();
    }
  });

  test("is readable by its owner alone", async () => {
    const inside = join(folder, "data");
    const store = await openStore({ folder: inside, clock, address });
    await addSetting(store, "a", "b");
    expect(statSync(inside).mode & 0o777).toBe(0o700);
    for (const file of ["store.sqlite", "store.sqlite-wal", "store.lock", "store.lock.json"]) {
      expect(statSync(join(inside, file)).mode & 0o777).toBe(0o600);
    }
    await store.close();
  });

  test("has statements planned once, whatever their parameters are", async () => {
    const store = await openMemoryStore();
    const query = store.db.selectFrom("settings").selectAll().where("key", "=", "a").limit(1);
    expect(query.compile().sql).toBe('select * from "settings" where "key" = +? limit +?');
    await addSetting(store, "a", "b");
    expect(await query.execute()).toEqual([{ key: "a", value: "b" }]);
    await store.close();
  });

  test("undoes a transaction that throws", async () => {
    const store = await openMemoryStore();
    const failing = store.transaction(async (tx) => {
      await tx.insertInto("settings").values({ key: "a", value: "1" }).execute();
      throw new Error("changed my mind");
    });
    await expect(failing).rejects.toThrow("changed my mind");
    expect(await settings(store)).toEqual([]);
    await store.close();
  });

  test("runs transactions one after the other, so that none sees half of another", async () => {
    const store = await openMemoryStore();
    await addSetting(store, "count", "0");
    const increment = () =>
      store.transaction(async (tx) => {
        const { value } = await tx.selectFrom("settings").selectAll().executeTakeFirstOrThrow();
        await tx
          .updateTable("settings")
          .set({ value: String(Number(value) + 1) })
          .execute();
      });
    await Promise.all(Array.from({ length: 20 }, increment));
    expect(await settings(store)).toEqual([{ key: "count", value: "20" }]);
    await store.close();
  });

  test("refuses a statement beside the transaction that it is made in instead of waiting for ever", async () => {
    const store = await openMemoryStore();
    const own = "Inside a transaction, use the transaction's own handle.";
    await expect(store.transaction(() => settings(store))).rejects.toThrow(own);
    await expect(store.transaction(() => store.transaction(async () => {}))).rejects.toThrow(own);
    await store.transaction(async () => {});
    expect(await settings(store)).toEqual([]);
    await store.close();
  });

  test("refuses a row that names nobody", async () => {
    const store = await openMemoryStore();
    const insert = store.db
      .insertInto("memberships")
      .values({ person_id: "usr_nobody" as PersonId, group_name: "admins" })
      .execute();
    await expect(insert).rejects.toMatchObject({
      code: "internal",
      detail: expect.stringContaining("SQLITE_CONSTRAINT_FOREIGNKEY"),
    });
    await store.close();
  });

  test("never gives a number of the outbox twice, also after it was emptied", async () => {
    const store = await openMemoryStore();
    const stage = () =>
      store.db
        .insertInto("audit_outbox")
        .values({ event: "{}" })
        .returning("id")
        .executeTakeFirstOrThrow();
    expect(await stage()).toEqual({ id: 1 });
    await store.db.deleteFrom("audit_outbox").execute();
    expect(await stage()).toEqual({ id: 2 });
    await store.close();
  });
});

describe("a store that cannot be opened", () => {
  test("is refused when a later version wrote it, with both versions", async () => {
    const store = await openStore({ folder, clock, address });
    await sql`insert into migrations (version, name, applied_at) values (99, 'later', 0)`.execute(
      store.db,
    );
    await store.close();
    await expect(openStore({ folder, clock, address })).rejects.toMatchObject({
      code: "store.newer",
      message: "The store has version 99; this server knows versions up to 7.",
    });
  });

  test("is called damaged, with its path, when the file is something else", async () => {
    const file = join(folder, "store.sqlite");
    writeFileSync(file, "this is a letter to my aunt ".repeat(400));
    await expect(openStore({ folder, clock, address })).rejects.toMatchObject({
      code: "store.damaged",
      message: `The store ${file} is damaged.`,
    });
  });

  test("is called damaged when pages in its middle are overwritten", async () => {
    const file = join(folder, "store.sqlite");
    const store = await openStore({ folder, clock, address });
    await addSetting(store, "a", "x".repeat(100_000));
    await store.close();
    const bytes = readFileSync(file);
    writeFileSync(file, bytes.fill(0xff, 4096));
    await expect(openStore({ folder, clock, address })).rejects.toMatchObject({
      code: "store.damaged",
    });
  });

  test("says that the folder is at fault when a file stands in its place", async () => {
    const file = join(folder, "data");
    writeFileSync(file, "");
    await expect(openStore({ folder: file, clock, address })).rejects.toMatchObject({
      code: "local.storage",
      message: `The data folder ${file} cannot be used.`,
    });
  });

  test("says that the disk is full, and keeps what was there", async () => {
    const store = await openStore({ folder, clock, address });
    await addSetting(store, "a", "1");
    await sql`pragma max_page_count = 1`.execute(store.db);
    await expect(
      store.transaction((tx) =>
        tx
          .insertInto("settings")
          .values({ key: "b", value: "x".repeat(1_000_000) })
          .execute(),
      ),
    ).rejects.toMatchObject({ code: "local.storage" });
    expect(await settings(store)).toEqual([{ key: "a", value: "1" }]);
    await store.close();
  });
});

describe("the lock", () => {
  test("refuses a second opening in the same process", async () => {
    const store = await openStore({ folder, clock, address });
    await expect(openStore({ folder, clock, address })).rejects.toMatchObject({
      code: "store.held",
    });
    await store.close();
  });

  test("tells who holds the store, and is free once that process was killed", async () => {
    const holder = spawn(process.execPath, ["--input-type=module", "--eval", holdUntilKilled()], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await once(holder.stdout, "data");
    await expect(openStore({ folder, clock, address })).rejects.toMatchObject({
      code: "store.held",
      message: expect.stringMatching(
        new RegExp(
          `in use by process ${holder.pid} on .+, which listens on 127.0.0.1:9, since 2023-11-14T22:13:20.000Z`,
        ),
      ),
    });
    holder.kill("SIGKILL");
    await once(holder, "exit");
    const store = await openStore({ folder, clock, address });
    await store.close();
  });

  function holdUntilKilled(): string {
    const module = new URL("./store.ts", import.meta.url).href;
    return `
      const { openStore } = await import(${JSON.stringify(module)});
      const clock = { now: () => ${clock.now()} };
      await openStore({ folder: ${JSON.stringify(folder)}, clock, address: "127.0.0.1:9" });
      console.log("held");`;
  }
});

async function addSetting(store: Store, key: string, value: string): Promise<void> {
  await store.db.insertInto("settings").values({ key, value }).execute();
}

async function settings(store: Store): Promise<{ key: string; value: string }[]> {
  return await store.db.selectFrom("settings").selectAll().execute();
}
