// The server killed at many random moments while people work. JITDB_SEED repeats a run's moments.

import { afterAll, beforeAll, expect, test } from "vitest";
import { Company } from "../e2e/company.ts";
import { chooseSeed, crashAtRandom, nothingLost } from "../e2e/random-crashes.ts";
import { loggingSettings } from "../e2e/server-log.ts";

const kills = 250;

let company: Company;
beforeAll(async () => {
  company = await Company.found({ postgresSettings: loggingSettings });
});
afterAll(() => company?.close());

test(`${kills} crashes at random moments leave no role, no late session and no statement without its record (invariants 20, 31)`, async () => {
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
