// The network fails again while an agent comes back: in the TLS handshake, in the WebSocket's, and in what the tunnel says first.

import { afterAll, beforeAll, expect, test } from "vitest";
import { type FailingPlace, openFailingPlace } from "./cuts.ts";

/** Bytes, both directions together: within the ClientHello, the server's certificate, the request, its answer, HELLO and RESUME. */
const cutsAt = [1, 6, 300, 600, 1200, 1800, 2400, 3000, 3600];

/** The second one comes a quarter of a second later at the earliest. */
const firstAttemptMs = 200;

let place: FailingPlace;
beforeAll(async () => {
  place = await openFailingPlace({ tls: true });
});
afterAll(() => place?.close());

test("a transaction goes on over TLS, wherever the way back is cut", async () => {
  const { company, network, door } = place;
  const client = await door.client();
  await client.query("BEGIN");
  await client.query("CREATE TEMP TABLE steps (step int)");
  for (const bytes of cutsAt) {
    // The agent comes back at once, and asks by HTTP how its grant does: all of that is cut, and what comes later is not.
    const until = Date.now() + firstAttemptMs;
    let cuts = 0;
    network.nextCut = () => {
      const isEarly = Date.now() < until;
      cuts += isEarly ? 1 : 0;
      return isEarly ? bytes : undefined;
    };
    network.cut();
    await client.query("INSERT INTO steps VALUES ($1)", [bytes]);
    expect(cuts, `cut at ${bytes}`).toBeGreaterThan(0);
  }
  await client.query("COMMIT");
  const { rows } = await client.query("SELECT array_agg(step ORDER BY step) AS it FROM steps");
  expect(rows[0].it).toEqual(cutsAt);
  await client.end();
  const journal = await company.journal();
  expect(journal.of("tunnel.resumed").length).toBeGreaterThanOrEqual(cutsAt.length);
  expect(journal.of("tunnel.resumed").every(({ lost }) => lost === 0)).toBe(true);
  expect(journal.of("session.opened")).toHaveLength(1);
});
