// A gigabyte each way, and a prepared statement's work, through a hundred cuts each.

import { afterAll, beforeAll, expect, test } from "vitest";
import {
  copyThroughCuts,
  cutWithin,
  type FailingPlace,
  openFailingPlace,
  randomFrom,
  runPrepared,
} from "../e2e/cuts.ts";
import { chooseSeed } from "../e2e/random-crashes.ts";
import { requireProgram } from "../support/psql.ts";

const rows = 1_080_000;
const count = 100;
const gigabyte = 1024 ** 3;

let place: FailingPlace;
const random = randomFrom(chooseSeed());
beforeAll(async () => {
  place = await openFailingPlace();
});
afterAll(() => place?.close());

test("a prepared statement gives the right answer each time through a hundred cuts", async () => {
  const isDone = cutWithin(place.network, { bytes: 1_000_000, count, random });
  expect(await runPrepared(place.door, 5000, isDone)).toBe(0);
  expect(isDone()).toBe(true);
});

test("a gigabyte of COPY arrives whole both ways through a hundred cuts each", async (context) => {
  requireProgram("psql", context);
  expect(await copyThroughCuts(place, { rows, count, random })).toBeGreaterThan(gigabyte);
});
