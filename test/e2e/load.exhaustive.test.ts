// Much data and slow readers: memory stays bounded in agent and server, and one reader's pace is nobody else's.

import { encodeQuery } from "@jitdb/shared/postgres/encoder";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { Company, type Door } from "./company.ts";
import { memoryGrowth } from "./memory-growth.ts";
import { drain, openWire, type Wire } from "./wire.ts";

const megabyte = 1024 * 1024;

/** So many megabytes of rows; in the result list, so that they are made while they are read. */
function rows(megabytes: number): string {
  return `SELECT repeat('x', 1000), generate_series(1, ${megabytes * 1000})`;
}

let company: Company;
let door: Door;
beforeAll(async () => {
  company = await Company.found({ spareSessions: false });
  door = await company.open("10m", "read-only");
});
afterAll(() => company?.close());

/** Bytes a millisecond. */
async function rate(wire: Wire, megabytes: number): Promise<number> {
  const started = performance.now();
  return (await drain(wire, rows(megabytes))) / (performance.now() - started);
}

test("250 MB of rows pass through in bounded memory (invariant 11)", async () => {
  const wire = await openWire(door);
  // What a process needs once, it has after this.
  await drain(wire, rows(40));
  const received = { bytes: 0 };
  const grown = await memoryGrowth(company, door, async () => {
    received.bytes = await drain(wire, rows(250));
  });
  wire.stream.socket.destroy();
  expect(received.bytes).toBeGreaterThan(250 * 1000 * 1000);
  expect(grown.agent).toBeLessThan(64 * megabyte);
  expect(grown.server).toBeLessThan(64 * megabyte);
});

test("a reader that stops costs bounded memory and slows nobody down (invariant 11)", async () => {
  const busy = await openWire(door);
  await rate(busy, 40);
  const alone: number[] = [];
  const beside: number[] = [];
  const grown = await memoryGrowth(company, door, async () => {
    // A machine with other work disturbs single rounds; somebody who is slowed down is so in all of them.
    for (let round = 0; round < 4 || (round < 20 && !isUnhindered()); round++) {
      alone.push(await rate(busy, 40));
      const stopped = await openWire(door);
      await stopped.send(encodeQuery(rows(500)));
      await eventually("the database waits for the reader that stopped", () => isWaiting());
      beside.push(await rate(busy, 40));
      stopped.stream.socket.destroy();
      await eventually("its session is gone", async () => (await company.backends()).length === 1);
    }
  });
  expect(isUnhindered()).toBe(true);
  expect(grown.agent).toBeLessThan(64 * megabyte);
  expect(grown.server).toBeLessThan(64 * megabyte);
  busy.stream.socket.destroy();

  function isUnhindered(): boolean {
    return Math.max(...beside) > 0.8 * Math.max(...alone);
  }

  async function isWaiting(): Promise<boolean> {
    const waiting = await company.installation.asSuperuser(
      "SELECT 1 FROM pg_stat_activity WHERE usename LIKE 'jit\\_%' AND wait_event = 'ClientWrite' AND state = 'active'",
    );
    return waiting.length === 1;
  }
});

test("a client's stopped COPY holds up no other session", async () => {
  const stalled = await openWire(door);
  await stalled.send(encodeQuery(`COPY (${rows(500)}) TO STDOUT`));
  const client = await door.client();
  const started = performance.now();
  for (let n = 0; n < 200; n++) {
    await client.query("SELECT 1");
  }
  expect((performance.now() - started) / 200).toBeLessThan(50);
  await client.end();
  stalled.stream.socket.destroy();
});
