// The server killed at many random moments while people work (JITDB_SEED repeats a run's moments), and behind each statement.

import { afterAll, beforeAll, expect, test } from "vitest";
import { chooseSeed, crashAtRandom, nothingLost } from "../e2e/random-crashes.ts";
import {
  closeWorld,
  crashAtEachStatement,
  createWorld,
  type World,
} from "../e2e/statement-crashes.ts";

const kills = 250;

let world: World;
beforeAll(async () => {
  world = await createWorld();
});
afterAll(() => closeWorld(world));

test("a server that is killed whenever a statement is answered leaves a grant usable, and nothing behind (invariant 31)", () =>
  crashAtEachStatement(world, "answered"));

test(`${kills} crashes at random moments leave no role, no late session and no statement without its record (invariants 20, 31)`, async () => {
  const { company } = world;
  const report = await crashAtRandom(company, [company.alice, company.bob], {
    kills,
    seed: chooseSeed(),
  });
  expect(report).toMatchObject(nothingLost);
  expect(report.logged).toBeGreaterThanOrEqual(report.answered);
  expect(report.answered).toBeGreaterThan(kills / 2);
  expect(report.interrupted.makings).toBeGreaterThan(0);
  expect(report.interrupted.endings).toBeGreaterThan(0);
});
