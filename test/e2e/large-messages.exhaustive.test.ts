// Messages that are too large to hold: agent and server pass them on as they come. At full size: test/soak/large-messages.soak.test.ts.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { prepareDatabase } from "../support/installation.ts";
import { Company, type Door } from "./company.ts";
import { largeMessages } from "./large-messages.ts";
import { memoryGrowth } from "./memory-growth.ts";
import { openWire, type Wire } from "./wire.ts";

const megabyte = 1024 * 1024;

let company: Company;
let door: Door;
let wire: Wire;
beforeAll(async () => {
  company = await Company.found({
    async prepare(installation) {
      await installation.asSuperuser("SET ROLE orders_app; CREATE TABLE app.lines (line text)");
      // The DBA's SQL once more, for what is new in the schema.
      await prepareDatabase(installation);
      // Texts that are kept whole cost memory on their way into the journal; here it is about what passes.
      const file = join(installation.serverFolder, "jitdb.yaml");
      const written = await readFile(file, "utf8");
      await writeFile(file, written.replace(/^audit:$/m, "audit:\n  maxTextBytes: 262144"));
    },
  });
  door = await company.open("1h");
  wire = await openWire(door);
  // What a process needs once, it has after this.
  for (const { pass } of largeMessages) {
    await pass(wire, 16 * megabyte);
  }
});
afterAll(() => company?.close());

test.each(largeMessages)(
  "$name of 48 MB passes in constant memory (invariant 14)",
  async ({ pass }) => {
    const grown = await memoryGrowth(company, door, () => pass(wire, 48 * megabyte));
    expect(grown.agent).toBeLessThan(64 * megabyte);
    expect(grown.server).toBeLessThan(64 * megabyte);
  },
);
