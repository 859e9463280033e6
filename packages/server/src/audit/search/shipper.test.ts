import { describe, expect, it, onTestFinished } from "vitest";
import { openMemoryStore } from "../../store/store.ts";
import { createFolder, openTestJournal } from "../fixtures.ts";
import { JournalReader } from "../journal/reader.ts";
import { listRecords } from "./queries.ts";
import { AuditShipper } from "./shipper.ts";

async function setUp() {
  const folder = createFolder();
  const store = await openMemoryStore();
  onTestFinished(() => store.close());
  const journal = openTestJournal(folder, { segmentBytes: 2000 });
  const createShipper = () =>
    new AuditShipper({
      store,
      journal,
      folder,
      onError: (error) => {
        throw error;
      },
    });
  const lapse = (request: string, person = "alice") =>
    journal.append({ kind: "request.lapsed", person, request });
  const list = (
    filter: Parameters<typeof listRecords>[2],
    page: Parameters<typeof listRecords>[3] = { limit: 500 },
  ) => listRecords(store.db, journal.id, filter, page);
  return { folder, store, journal, createShipper, lapse, list };
}

describe("the shipper", () => {
  it("ships every flushed record once and in order, over segments and starts", async () => {
    const { journal, createShipper, lapse, list } = await setUp();
    const first = createShipper();
    for (let index = 0; index < 150; index += 1) {
      lapse(`req_${index}`);
      journal.flush();
    }
    await first.ship();
    lapse("req_150");
    await first.ship();
    journal.flush();
    await first.stop();
    const second = createShipper();
    lapse("req_151");
    journal.flush();
    await Promise.all([second.ship(), second.ship()]);
    await second.stop();
    const { records } = await list({ kind: "request" });
    expect(records.map((record) => record["request"])).toEqual(
      Array.from({ length: 152 }, (_, index) => `req_${index}`),
    );
  });

  it("ships nothing that the journal has not flushed", async () => {
    const { createShipper, lapse, list } = await setUp();
    const shipper = createShipper();
    lapse("req_1");
    await shipper.ship();
    expect((await list({})).records).toEqual([]);
    await shipper.stop();
  });

  it("catches up for somebody who searches, as far as their patience goes, and never rejects", async () => {
    const { store, journal, folder, lapse, list } = await setUp();
    const failures: unknown[] = [];
    const shipper = new AuditShipper({ store, journal, folder, onError: (e) => failures.push(e) });
    // More than two pieces.
    for (let index = 0; index < 700; index += 1) {
      lapse(`req_${index}`, "x".repeat(1000));
    }
    journal.flush();
    await shipper.catchUp(0);
    const first = (await list({ kind: "request" })).records.length;
    expect(first).toBeGreaterThan(0);
    expect((await list({ person: "x".repeat(1000) }, { limit: 1000 })).records.length).toBeLessThan(
      700,
    );
    await shipper.catchUp(60_000);
    expect((await list({ kind: "request" }, { limit: 1000 })).records.length).toBe(700);
    lapse("req_last");
    journal.flush();
    await store.close();
    await shipper.catchUp(1000);
    expect(failures.length).toBe(1);
  });

  it("keeps each line as it stands in the journal, whatever its text, and reads its fields", async () => {
    const { folder, store, journal, createShipper, lapse } = await setUp();
    const texts = ['"\\/\b\n\0', "\u2028\u202e\u007f", "ÅΩ漢😀", "{[,:]}", "-0 1e999", "</x>&"];
    for (const text of texts) {
      lapse(`${text}\ud800`, text);
    }
    journal.flush();
    const shipper = createShipper();
    await shipper.ship();
    await shipper.stop();
    const reader = new JournalReader(folder);
    const lines = (await reader.read()).map(({ line }) => line.toString("utf8"));
    await reader.close();
    const rows = await store.db.selectFrom("audit_records").selectAll().orderBy("seq").execute();
    const expected = lines.map((line) => {
      const { seq, at, kind, person = null } = JSON.parse(line);
      return { seq, at: Date.parse(at), kind, person, line };
    });
    expect(rows).toMatchObject(expected);
  });

  it("is woken by a flush", async () => {
    const { journal, createShipper, lapse, list } = await setUp();
    const shipper = createShipper();
    shipper.start();
    lapse("req_1");
    journal.flush();
    await expect
      .poll(async () => (await list({ kind: "request.lapsed" })).records, { interval: 10 })
      .toHaveLength(1);
    await shipper.stop();
  });
});

describe("the search", () => {
  it("filters, gives the newest page and goes on behind a record", async () => {
    const { journal, createShipper, lapse, list } = await setUp();
    for (let index = 0; index < 10; index += 1) {
      lapse(`req_${index}`, index % 2 === 0 ? "alice" : "bob");
    }
    journal.append({
      kind: "grant.ended",
      grant: "grt_1",
      end: "expired",
      reason: "",
      latenessMs: 3,
    });
    journal.flush();
    const shipper = createShipper();
    await shipper.ship();
    await shipper.stop();
    const requests = async (...args: Parameters<typeof list>) => {
      const { records, next } = await list(...args);
      return [records.map((record) => record["request"]), next];
    };

    expect(await requests({ person: "bob" }, { limit: 2 })).toEqual([["req_7", "req_9"], null]);
    expect(await requests({ person: "bob" }, { limit: 2, after: "1" })).toEqual([
      ["req_1", "req_3"],
      "5",
    ]);
    expect(await requests({ kind: "request" }, { limit: 3, after: "9" })).toEqual([
      ["req_8", "req_9"],
      null,
    ]);
    expect((await list({ grant: "grt_1", kind: "grant.ended" })).records).toMatchObject([
      { kind: "grant.ended", latenessMs: 3, at: "2026-01-02T03:04:05.006Z" },
    ]);
    expect((await list({ session: "ses_1" })).records).toEqual([]);
    await expect(list({}, { limit: 1, after: "x" })).rejects.toMatchObject({
      code: "usage.invalid",
    });
  });
});

describe("the reader", () => {
  it("reads long lines whole and in pieces of about the asked size", async () => {
    const { folder, journal } = await setUp();
    for (const size of [10, 700_000, 20]) {
      journal.record({ kind: "server.stopped", reason: "x".repeat(size) });
    }
    const reader = new JournalReader(folder, 1);
    const sizes: number[][] = [];
    for (let lines = await reader.read(1000); lines.length > 0; lines = await reader.read(1000)) {
      sizes.push(lines.map(({ line }) => JSON.parse(line.toString()).reason?.length));
    }
    await reader.close();
    // The short line is given first: there is no room for the long one beside it.
    expect(sizes).toEqual([[10], [700_000], [undefined, 20]]);
  });
});
