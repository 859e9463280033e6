// docs/errors.md is made of the fault table and the catalogue, and must not fall behind them.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeFaults } from "../faults/page.ts";
import { faultTable } from "../faults/table.ts";

test("docs/errors.md is what `node scripts/run.mjs docs` writes today", () => {
  const file = join(import.meta.dirname, "..", "..", "docs", "errors.md");
  expect(readFileSync(file, "utf8")).toBe(describeFaults(faultTable));
});
