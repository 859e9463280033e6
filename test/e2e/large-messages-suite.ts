// Single messages of one size through agent and server, and how much memory both take for them: a size for CI, and the largest one for the soak.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Installation, prepareDatabase } from "../support/installation.ts";
import { Company, type Door } from "./company.ts";
import { largeMessages } from "./large-messages.ts";
import { memoryGrowth } from "./memory-growth.ts";
import { openWire, type Wire } from "./wire.ts";

/** Above what agent and server held before; bytes. */
const mostGrowth = 64 * 1024 ** 2;

export interface LargeMessagesOptions {
  /** Of each message, in words. */
  readonly size: string;
  readonly bytes: number;
  /** Of those that pass first: what a process needs once, such as its young generation of tens of megabytes, it has after them. */
  readonly bytesBefore: number;
}

/** To be called in a test file. */
export function testLargeMessages({ size, bytes, bytesBefore }: LargeMessagesOptions): void {
  let company: Company;
  let door: Door;
  let wire: Wire;
  beforeAll(async () => {
    company = await Company.found({ prepare });
    door = await company.open("1h");
    wire = await openWire(door);
    for (const { pass } of largeMessages) {
      await pass(wire, bytesBefore);
    }
  });
  afterAll(() => company?.close());

  test.each(largeMessages)(
    `$name of ${size} passes in constant memory (invariant 14)`,
    async ({ pass }) => {
      const grown = await memoryGrowth(company, door, () => pass(wire, bytes));
      expect(grown.agent).toBeLessThan(mostGrowth);
      expect(grown.server).toBeLessThan(mostGrowth);
    },
  );
}

async function prepare(installation: Installation): Promise<void> {
  await installation.asSuperuser("SET ROLE orders_app; CREATE TABLE app.lines (line text)");
  // The DBA's SQL once more, for what is new in the schema.
  await prepareDatabase(installation);
  // Texts that are kept whole cost memory on their way into the journal; here it is about what passes.
  const file = join(installation.serverFolder, "jitdb.yaml");
  const written = await readFile(file, "utf8");
  await writeFile(file, written.replace(/^audit:$/m, "audit:\n  maxTextBytes: 262144"));
}
