// The network fails under real programs, at random bytes in both directions (docs/tunnel-protocol.md §10).

import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { requireProgram } from "../support/psql.ts";
import {
  copyThroughCuts,
  cutWithin,
  type FailingPlace,
  openFailingPlace,
  randomFrom,
  runPrepared,
} from "./cuts.ts";
import { chooseSeed } from "./random-crashes.ts";

const rows = 40_000;
const cuts = 10;

let place: FailingPlace;
let random: () => number;
beforeAll(async () => {
  random = randomFrom(chooseSeed());
  place = await openFailingPlace();
});
afterAll(() => place?.close());
afterEach(() => {
  place.network.nextCut = () => undefined;
});

describe("through ten cuts", () => {
  test("a transaction in psql's way goes on, with what it had done", async () => {
    const client = await place.door.client();
    await client.query("BEGIN");
    await client.query("CREATE TEMP TABLE steps (step int)");
    for (let step = 1; step <= cuts; step += 1) {
      place.network.cut();
      await client.query("INSERT INTO steps VALUES ($1)", [step]);
    }
    await client.query("COMMIT");
    const { rows: found } = await client.query(
      "SELECT array_agg(step ORDER BY step) AS it FROM steps",
    );
    expect(found[0].it).toEqual(Array.from({ length: cuts }, (_, index) => index + 1));
    await client.end();
  });

  test("a prepared statement gives the right answer each time", async () => {
    const isDone = cutWithin(place.network, { bytes: 40_000, count: cuts, random });
    expect(await runPrepared(place.door, 300, isDone)).toBe(0);
    expect(isDone()).toBe(true);
  });

  test("clients that connect meanwhile get in, and their queries are answered", async () => {
    const isDone = cutWithin(place.network, { bytes: 60_000, count: cuts, random });
    for (let number = 0; number < 20 || !isDone(); number += 1) {
      const client = await place.door.client();
      expect((await client.query("SELECT $1::int AS it", [number])).rows).toEqual([{ it: number }]);
      await client.end();
    }
  });

  test("COPY out and in bring every byte, once and in order", async (context) => {
    requireProgram("psql", context);
    await copyThroughCuts(place, { rows, count: cuts, random });
  });
});

test("the agent says quietly what happened, and the audit has it", async () => {
  const { company, door } = place;
  door.child.kill("SIGINT");
  const { stderr } = await door.child;
  expect(String(stderr)).toMatch(/Connection lost, resuming…\nBack after \d+\.\d s\.\n/);
  expect(String(stderr)).not.toMatch(/could not go on|have ended/);
  const journal = await company.journal();
  expect(journal.of("tunnel.resumed").length).toBeGreaterThanOrEqual(cuts);
  expect(journal.of("tunnel.resumed").every(({ lost }) => lost === 0)).toBe(true);
  expect(journal.firstBreak()).toBeUndefined();
});
