// The bounded run: every target for a moment, and what was found before. `npm run fuzz` is the long one.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { parseInput } from "./input.ts";
import { describeFinding, failureOf, fuzz } from "./run.ts";
import { targets } from "./targets.ts";

/** Another one for the nightly runs; the same one finds the same things. */
const seed = process.env["JITDB_SEED"] ?? "20";
const budgetMs = 1000;
/** As many as the budget may hold on a fast machine: a bound for the rest. */
const maxExecutions = 5000;

const folder = join(import.meta.dirname, "regressions");

afterAll(async () => {
  for (const target of targets) {
    await target.close?.();
  }
});

describe("a moment of fuzzing", () => {
  test.each(targets)("$name: $about", async (target) => {
    const endsAt = performance.now() + budgetMs;
    const { executions, findings } = await fuzz(target, {
      seed,
      goesOn: (count) => count < maxExecutions && performance.now() < endsAt,
    });
    expect(findings.map(describeFinding)).toEqual([]);
    expect(executions).toBeGreaterThan(0);
  });
});

describe("what was found before holds", () => {
  test.each(readdirSync(folder))("%s", async (name) => {
    const target = targets.find((one) => name.startsWith(`${one.name}-`));
    const input = parseInput(readFileSync(join(folder, name), "utf8"));
    expect(target && (await failureOf(target, input))).toBeUndefined();
    expect(target).toBeDefined();
  });
});
