import { appendFileSync, chmodSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createFolder, FaultyFiles, openTestJournal, readRecords } from "./fixtures.ts";
import type { AuditEvent } from "./record.ts";

const event: AuditEvent = { kind: "server.stopped", reason: "test" };
const unavailable = expect.objectContaining({ code: "audit.unavailable" });

const kinds = (folder: string) => readRecords(folder).map((record) => record["kind"]);

describe("a journal", () => {
  it("takes no number for an event that has no line, so that the chain goes on", () => {
    const folder = createFolder();
    const journal = openTestJournal(folder);
    const first = journal.record({ kind: "login.denied", reason: "one" });
    const broken = { kind: "login.denied", reason: Number.NaN as unknown as string } as const;
    expect(() => journal.append(broken)).toThrow(RangeError);
    expect(journal.record({ kind: "login.denied", reason: "two" })).toBe(first + 1);
    journal.close();
    expect(readRecords(folder).at(-1)).toMatchObject({ reason: "two", seq: first + 1 });
  });

  it("keeps nothing before the flush and everything in one write after it", () => {
    const folder = createFolder();
    const files = new FaultyFiles();
    const journal = openTestJournal(folder, { files });
    expect([journal.append(event), journal.append(event)]).toEqual([2, 3]);
    expect([readdirSync(folder), journal.flushedSeq]).toEqual([[], 0]);
    journal.flush();
    journal.flush();
    expect([files.writes, journal.flushedSeq]).toEqual([1, 3]);
    expect(readRecords(folder)).toMatchObject([
      { seq: 1, kind: "journal.segment", journal: journal.id, at: "2026-01-02T03:04:05.006Z" },
      { seq: 2, kind: "server.stopped", reason: "test" },
      { seq: 3 },
    ]);
    journal.close();
  });

  it("is readable by nobody else", () => {
    const folder = createFolder();
    chmodSync(folder, 0o755);
    const journal = openTestJournal(folder);
    journal.record(event);
    journal.close();
    const [segment = ""] = readdirSync(folder);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(join(folder, segment)).mode & 0o777).toBe(0o600);
  });

  it("goes on with number, chain and id where it was closed", () => {
    const folder = createFolder();
    const first = openTestJournal(folder);
    first.record(event);
    first.close();
    const second = openTestJournal(folder, { random: { bytes: (n) => new Uint8Array(n).fill(1) } });
    expect(second.record(event)).toBe(3);
    expect(second.id).toBe(first.id);
    second.close();
    expect(readRecords(folder)).toHaveLength(3);
  });

  it("starts a segment that says whose it is when one is full", () => {
    const folder = createFolder();
    const journal = openTestJournal(folder, { segmentBytes: 300 });
    for (let count = 0; count < 4; count += 1) {
      journal.record(event);
    }
    journal.close();
    expect(readdirSync(folder).sort()).toEqual([
      "0000000000000001.jsonl",
      "0000000000000003.jsonl",
      "0000000000000005.jsonl",
      "0000000000000007.jsonl",
    ]);
    expect(readRecords(folder).at(-2)).toMatchObject({
      kind: "journal.segment",
      journal: journal.id,
    });
  });

  it("lets no text forge a line (invariant 24)", () => {
    const folder = createFolder();
    const journal = openTestJournal(folder);
    const reason = '\r\n{"seq":9}\u0000\u001b]52;c;cm0=\u0007\u2028';
    journal.record({ kind: "server.stopped", reason });
    journal.close();
    expect(readRecords(folder)[1]).toMatchObject({ seq: 2, reason });
  });
});

describe("a journal that cannot write", () => {
  it("takes short writes and goes on", () => {
    const folder = createFolder();
    const files = new FaultyFiles();
    files.perWrite = 7;
    const journal = openTestJournal(folder, { files });
    journal.record(event);
    journal.close();
    expect(readRecords(folder)).toHaveLength(2);
  });

  it("refuses, keeps no half record, and recovers with all of them (invariant 20)", () => {
    const folder = createFolder();
    const files = new FaultyFiles();
    const journal = openTestJournal(folder, { files });
    journal.record(event);
    files.space = 100;
    expect(() => journal.record(event)).toThrow(unavailable);
    expect(journal.failed).toBe(true);
    expect(readRecords(folder)).toHaveLength(2);
    // Nobody's flush may succeed while a record that somebody else waits for is not written.
    expect(() => journal.flush()).toThrow(unavailable);
    files.space = Number.POSITIVE_INFINITY;
    journal.flush();
    expect(journal.failed).toBe(false);
    expect(readRecords(folder)).toHaveLength(3);
    journal.close();
  });

  it("cuts half a record later when it cannot at once", () => {
    const folder = createFolder();
    const files = new FaultyFiles();
    const journal = openTestJournal(folder, { files });
    journal.record(event);
    files.space = 100;
    files.truncateFails = true;
    expect(() => journal.record(event)).toThrow(unavailable);
    files.space = Number.POSITIVE_INFINITY;
    expect(() => journal.flush()).toThrow(unavailable);
    files.truncateFails = false;
    journal.close();
    expect(readRecords(folder)).toHaveLength(3);
  });

  it("refuses when the disk does not confirm, with durability fsync (invariant 20)", () => {
    const folder = createFolder();
    const files = new FaultyFiles();
    const journal = openTestJournal(folder, { files, durability: "fsync" });
    journal.record(event);
    files.syncFails = true;
    expect(() => journal.record(event)).toThrow(unavailable);
    expect(readRecords(folder)).toHaveLength(2);
    files.syncFails = false;
    journal.close();
    expect(readRecords(folder)).toHaveLength(3);
  });

  it("refuses to buffer without a bound", () => {
    const folder = createFolder();
    const files = new FaultyFiles();
    const journal = openTestJournal(folder, { files, maxBuffered: 1000 });
    files.space = 0;
    const append = () => journal.append(event);
    expect(() => Array.from({ length: 100 }, append)).toThrow(unavailable);
    files.space = Number.POSITIVE_INFINITY;
    journal.close();
    expect(readRecords(folder).length).toBeLessThan(10);
  });

  it("says so when its folder cannot be used", () => {
    const folder = createFolder();
    const file = join(folder, "file");
    writeFileSync(file, "");
    expect(() => openTestJournal(join(file, "audit"))).toThrow(unavailable);
  });
});

describe("a journal after a crash", () => {
  const writeOne = (folder: string) => {
    const journal = openTestJournal(folder);
    journal.record(event);
    journal.close();
    return join(folder, "0000000000000001.jsonl");
  };

  it.each([
    ["half a record", '{"at":"2026'],
    ["a record without its newline", '{"seq":3}'],
    ["zeros", "\0".repeat(4096)],
    ["a line of zeros", `${"\0".repeat(50)}\n`],
    ["empty lines", "\n\n"],
  ])("cuts %s, records it and goes on (invariant 26)", (_what, tail) => {
    const folder = createFolder();
    const segment = writeOne(folder);
    appendFileSync(segment, tail);
    openTestJournal(folder).close();
    expect(readRecords(folder).at(-1)).toMatchObject({
      seq: 3,
      kind: "journal.recovered",
      segment: "0000000000000001.jsonl",
      bytes: tail.length,
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it.each([
    ["empty", "", []],
    ["torn in its first record", '{"at"', ["journal.recovered"]],
  ])("goes on before a segment that is %s", (_what, content, recovered) => {
    const folder = createFolder();
    writeOne(folder);
    writeFileSync(join(folder, "0000000000000003.jsonl"), content);
    const journal = openTestJournal(folder);
    journal.record(event);
    journal.close();
    expect(kinds(folder)).toEqual([
      "journal.segment",
      "server.stopped",
      ...recovered,
      "server.stopped",
    ]);
  });

  it("refuses a segment that does not begin as one", () => {
    const folder = createFolder();
    writeFileSync(join(folder, "0000000000000001.jsonl"), '{"seq":1}\n');
    expect(() => openTestJournal(folder)).toThrow(unavailable);
  });

  it("knows which outbox rows it has, across segments and starts", () => {
    const folder = createFolder();
    const small = { segmentBytes: 400 };
    const journal = openTestJournal(folder, small);
    for (let row = 0; row < 150; row += 1) {
      journal.record({ ...event, outbox: `row-${row}` });
    }
    journal.close();
    const again = openTestJournal(folder, small);
    expect(["row-49", "row-50", "row-149"].map((row) => again.hasOutbox(row))).toEqual([
      false,
      true,
      true,
    ]);
    again.close();
  });
});
