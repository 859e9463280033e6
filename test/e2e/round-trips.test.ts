// What a connection costs where the server is far away, from start to the first answer, with the programs as they are shipped. A round
// trip takes a second here: far more than whatever else keeps the machine busy.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type FailingPlace, openFailingPlace } from "./cuts.ts";

const roundTripMs = 1000;

let place: FailingPlace;
beforeAll(async () => {
  place = await openFailingPlace();
  place.network.delayMs = roundTripMs / 2;
});
afterAll(() => place?.close());

/** Round trips until a client that has just come has its first answer. */
async function roundTrips(applicationName: string): Promise<number> {
  const beganAt = performance.now();
  const client = await place.door.client({ application_name: applicationName });
  expect((await client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  const tookMs = performance.now() - beganAt;
  await client.end();
  return tookMs / roundTripMs;
}

/** The first of several clients that has its answer in so few; a busy machine may hold one of them up. */
async function firstWithin(limit: number, nameOf: (client: number) => string): Promise<number> {
  let client = 0;
  return await eventually(
    `an answer comes within ${limit} round trips`,
    async () => {
      client += 1;
      const took = await roundTrips(nameOf(client));
      return took < limit && took;
    },
    30_000,
  );
}

describe("the first answer", () => {
  test("comes after two round trips, the greeting and the query, where no session waits", async () => {
    expect(await firstWithin(3, (client) => `the only one of kind ${client}`)).toBeGreaterThan(2);
  });

  test("comes after one, once the agent has been told of a session that waits", async () => {
    expect(await firstWithin(2, () => "one of many")).toBeGreaterThan(1);
  });
});
