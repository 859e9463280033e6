import { randomBytes } from "node:crypto";
import { JitdbError } from "@jitdb/shared/errors";
import { describe, expect, it, onTestFinished } from "vitest";
import { openMemoryStore, type Store } from "../store/store.ts";
import { createFolder, FaultyFiles, openTestJournal, readRecords } from "./fixtures.ts";
import type { Journal, JournalOptions } from "./journal.ts";
import type { AuditEvent } from "./record.ts";
import { AuditTrail } from "./trail.ts";

const start = Date.UTC(2026, 0, 2, 3, 4, 5, 6);

function lapsed(request: string): AuditEvent {
  return { kind: "request.lapsed", person: "alice", request };
}

async function setUp(options: Partial<JournalOptions> = {}) {
  const folder = createFolder();
  const store = await openMemoryStore();
  onTestFinished(() => store.close());
  const journal = openTestJournal(folder, options);
  return { folder, store, journal, trail: createTrail(store, journal) };
}

function createTrail(store: Store, journal: Journal): AuditTrail {
  const clock = { now: () => start };
  return new AuditTrail({ store, journal, clock, random: { bytes: randomBytes } });
}

const stage = (store: Store, trail: AuditTrail, ...requests: string[]) =>
  store.transaction(async (tx) => {
    for (const request of requests) {
      await trail.stage(tx, lapsed(request));
    }
  });

const requestsIn = (folder: string) =>
  readRecords(folder)
    .map((record) => record["request"])
    .filter((request) => request !== undefined);

describe("the trail", () => {
  it("moves what was staged into the journal, in order, with its time", async () => {
    const { folder, store, trail } = await setUp();
    await stage(store, trail, "req_1", "req_2");
    await Promise.all([trail.drain(), trail.drain()]);
    await trail.drain();
    expect(requestsIn(folder)).toEqual(["req_1", "req_2"]);
    expect(readRecords(folder)[1]).toMatchObject({ occurredAt: "2026-01-02T03:04:05.006Z" });
    expect(await store.db.selectFrom("audit_outbox").selectAll().execute()).toEqual([]);
  });

  it("drops what was staged with a transaction that fails", async () => {
    const { folder, store, trail } = await setUp();
    const failing = store.transaction(async (tx) => {
      await trail.stage(tx, lapsed("req_1"));
      throw new Error("no");
    });
    await expect(failing).rejects.toThrow("no");
    await trail.drain();
    expect(requestsIn(folder)).toEqual([]);
  });

  it("moves more than a batch", async () => {
    const { folder, store, trail } = await setUp();
    const requests = Array.from({ length: 250 }, (_, index) => `req_${index}`);
    await stage(store, trail, ...requests);
    await trail.drain();
    expect(requestsIn(folder)).toEqual(requests);
  });

  it("doubles nothing when a crash comes between the journal and the outbox", async () => {
    const { folder, store, journal, trail } = await setUp();
    await stage(store, trail, "req_1", "req_2");
    const [first] = await store.db.selectFrom("audit_outbox").selectAll().execute();
    await trail.drain();
    journal.close();
    // As the crash leaves it: the first row is in the journal and in the outbox, the next one is new.
    await store.db
      .insertInto("audit_outbox")
      .values({ event: first?.event ?? "" })
      .execute();
    const reopened = openTestJournal(folder);
    const restarted = createTrail(store, reopened);
    await stage(store, restarted, "req_3");
    await restarted.drain();
    reopened.close();
    expect(requestsIn(folder)).toEqual(["req_1", "req_2", "req_3"]);
  });

  it("keeps what the journal refuses and moves it once when it works again", async () => {
    const files = new FaultyFiles();
    const { folder, store, trail } = await setUp({ files });
    await stage(store, trail, "req_1");
    files.space = 10;
    await expect(trail.drain()).rejects.toThrow(JitdbError);
    expect(await store.db.selectFrom("audit_outbox").selectAll().execute()).toHaveLength(1);
    files.space = Number.POSITIVE_INFINITY;
    await trail.drain();
    expect(requestsIn(folder)).toEqual(["req_1"]);
  });
});
