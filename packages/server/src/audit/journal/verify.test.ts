import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createFolder, openTestJournal } from "../fixtures.ts";
import { checkpointKey, readCheckpoint, signCheckpoint } from "./checkpoint.ts";
import { verifyJournal } from "./verify.ts";

const key = checkpointKey(randomBytes(32));
const at = "2026-01-02T03:04:05.000Z";

/** A journal of so many records in several segments, and where it stands. */
async function write(folder: string, records: number, name = "anna") {
  const journal = openTestJournal(folder, { segmentBytes: 500 });
  for (let n = 0; n < records; n += 1) {
    journal.record({ kind: "person.disabled", person: `${name}${n}`, by: "test" });
  }
  journal.close();
  const verdict = await verifyJournal(folder);
  if (!verdict.whole) {
    throw new Error(verdict.message);
  }
  return signCheckpoint({ journal: verdict.journal, ...verdict.head, at }, key);
}

const files = (folder: string) => readdirSync(folder).sort();

test("a whole journal is found whole, and so is what was written behind a checkpoint (invariant 26)", async () => {
  const folder = createFolder();
  const checkpoint = await write(folder, 10);
  expect(files(folder).length).toBeGreaterThan(2);
  await write(folder, 3);
  const anchor = readCheckpoint(JSON.stringify(checkpoint), key);
  expect(await verifyJournal(folder, [anchor])).toMatchObject({ whole: true });
});

test("a cut tail is found by a checkpoint alone (invariant 26)", async () => {
  const folder = createFolder();
  const checkpoint = await write(folder, 10);
  const last = join(folder, files(folder).at(-1) ?? "");
  const lines = readFileSync(last, "utf8").split("\n");
  writeFileSync(
    last,
    lines
      .slice(0, -2)
      .map((line) => `${line}\n`)
      .join(""),
  );
  expect(await verifyJournal(folder)).toMatchObject({ whole: true });
  expect(await verifyJournal(folder, [checkpoint])).toMatchObject({
    whole: false,
    message: expect.stringContaining("its tail is missing"),
  });
});

test("a journal that was written anew is found by a checkpoint alone (invariant 26)", async () => {
  const checkpoint = await write(createFolder(), 10);
  const folder = createFolder();
  await write(folder, 12, "eve");
  expect(await verifyJournal(folder, [checkpoint])).toMatchObject({
    whole: false,
    message: expect.stringContaining("was written anew"),
  });
});

test("each flipped byte of a journal is found (invariant 26)", async () => {
  const folder = createFolder();
  const checkpoint = await write(folder, 3);
  for (const name of files(folder)) {
    const file = join(folder, name);
    const whole = readFileSync(file);
    for (let offset = 0; offset < whole.length; offset += 1) {
      const changed = Buffer.from(whole);
      changed.writeUInt8(changed.readUInt8(offset) ^ 1, offset);
      writeFileSync(file, changed);
      expect((await verifyJournal(folder, [checkpoint])).whole).toBe(false);
    }
    writeFileSync(file, whole);
  }
});

test("a checkpoint that was changed, or signed with another key, is none", async () => {
  const checkpoint = await write(createFolder(), 3);
  const changed = JSON.stringify({ ...checkpoint, seq: checkpoint.seq + 1 });
  expect(() => readCheckpoint(changed, key)).toThrow("not signed with this installation's key");
  const other = checkpointKey(randomBytes(32));
  expect(() => readCheckpoint(JSON.stringify(checkpoint), other)).toThrow("not signed with");
  for (const line of ["", "{}", "[]", '{"seq":1}']) {
    expect(() => readCheckpoint(line, key)).toThrow("no checkpoint");
  }
});
