// SIGKILL of the real server: at each statement of making and of ending a user, and at random moments (invariant 31). The soak tier has
// the other moment of each statement and many more random ones; test/credentials/crash.exhaustive.test.ts has each step by itself.

import { afterAll, beforeAll, expect, test } from "vitest";
import { chooseSeed, crashAtRandom, leastAnswered, nothingLost } from "./random-crashes.ts";
import { closeWorld, crashAtEachStatement, createWorld, type World } from "./statement-crashes.ts";

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => closeWorld(world));

test(
  "a server that is killed whenever a statement is asked leaves a grant usable, and nothing behind (invariant 31)",
  {
    timeout: 300_000,
  },
  () => crashAtEachStatement(world, "asked"),
);

test("eight crashes at random moments leave no role, no late session and no statement without its record (invariants 20, 31)", {
  timeout: 300_000,
}, async () => {
  const { company } = world;
  const report = await crashAtRandom(company, [company.alice, company.bob], {
    kills: 8,
    seed: chooseSeed(),
  });
  expect(report).toMatchObject(nothingLost);
  expect(report.logged).toBeGreaterThanOrEqual(report.answered);
  expect(report.answered).toBeGreaterThanOrEqual(leastAnswered);
});
