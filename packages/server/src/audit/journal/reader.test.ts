import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createFolder, openTestJournal } from "../fixtures.ts";
import { JournalReader } from "./reader.ts";

/** Reasons whose records are shorter than, longer than, and many in the memory that is read into. */
const sizes = [
  10,
  700_000,
  300_000,
  1,
  1,
  200_000,
  ...Array.from({ length: 3000 }, (_, n) => n % 700),
];

it.each([1, 5000, 1024 * 1024])(
  "gives every line whole, in pieces of %i bytes, while the journal grows",
  async (pieceBytes) => {
    const folder = createFolder();
    const journal = openTestJournal(folder, { segmentBytes: 500_000 });
    const reader = new JournalReader(folder);
    const read: string[] = [];
    for (const [index, size] of sizes.entries()) {
      journal.append({ kind: "login.denied", reason: String(index % 10).repeat(size) });
      if (index % 100 === 0 || size > 100_000) {
        journal.flush();
        // All of a call's lines are whole until the next call, also those that came before the memory was full.
        const lines = await reader.read(pieceBytes);
        read.push(...lines.map(({ line }) => line.toString()));
      }
    }
    journal.close();
    for (;;) {
      const lines = await reader.read(pieceBytes);
      if (lines.length === 0) {
        break;
      }
      read.push(...lines.map(({ line }) => line.toString()));
    }
    await reader.close();
    const written = readdirSync(folder)
      .sort()
      .map((name) => readFileSync(join(folder, name), "utf8"))
      .join("");
    expect(`${read.join("\n")}\n` === written).toBe(true);
    expect(read.length).toBeGreaterThan(sizes.length);
  },
);
