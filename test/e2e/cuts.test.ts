// The network fails under real programs, at random bytes in both directions (docs/tunnel-protocol.md §10).

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { CuttingProxy } from "../support/cutting-proxy.ts";
import { requireProgram } from "../support/psql.ts";
import { Company, type Door } from "./company.ts";
import {
  copyIn,
  copyOut,
  cutWithin,
  hashOfRows,
  randomFrom,
  runPrepared,
  startFailingNetwork,
} from "./cuts.ts";
import { chooseSeed } from "./random-crashes.ts";

const rows = 40_000;
const cuts = 10;

let company: Company;
let network: CuttingProxy;
let door: Door;
let random: () => number;
beforeAll(async () => {
  random = randomFrom(chooseSeed());
  company = await Company.found({
    async prepare(installation) {
      network = await startFailingNetwork(installation);
    },
  });
  await company.grant("30m", "read-write");
  door = await company.connect();
});
afterAll(async () => {
  await company?.close();
  await network?.close();
});
afterEach(() => {
  network.nextCut = () => undefined;
});

describe("through ten cuts", () => {
  test("a transaction in psql's way goes on, with what it had done", async () => {
    const client = await door.client();
    await client.query("BEGIN");
    await client.query("CREATE TEMP TABLE steps (step int)");
    for (let step = 1; step <= cuts; step += 1) {
      network.cut();
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
    const isDone = cutWithin(network, { bytes: 40_000, count: cuts, random });
    expect(await runPrepared(door, 300, isDone)).toBe(0);
    expect(isDone()).toBe(true);
  });

  test("clients that connect meanwhile get in, and their queries are answered", async () => {
    const isDone = cutWithin(network, { bytes: 60_000, count: cuts, random });
    for (let number = 0; number < 20 || !isDone(); number += 1) {
      const client = await door.client();
      expect((await client.query("SELECT $1::int AS it", [number])).rows).toEqual([{ it: number }]);
      await client.end();
    }
  });

  test("COPY out and in bring every byte, once and in order", async (context) => {
    requireProgram("psql", context);
    const { postgres, folder } = company.installation;
    const file = join(folder, "rows.tsv");
    const direct = {
      PGHOST: postgres.host,
      PGPORT: String(postgres.port),
      PGUSER: postgres.superuser,
      PGPASSWORD: postgres.password,
      PGDATABASE: "orders",
    };
    const expected = await copyOut(direct, rows, file);
    const { size } = await stat(file);
    const isOutDone = cutWithin(network, { bytes: size, count: cuts, random });
    expect(await copyOut(door.environment, rows)).toEqual(expected);
    expect(isOutDone()).toBe(true);
    const isInDone = cutWithin(network, { bytes: size, count: cuts, random });
    expect(await copyIn(door, file)).toBe(await hashOfRows(postgres.url("orders"), rows));
    expect(isInDone()).toBe(true);
  });
});

test("the agent says quietly what happened, and the audit has it", async () => {
  door.child.kill("SIGINT");
  const { stderr } = await door.child;
  expect(String(stderr)).toMatch(/Connection lost, resuming…\nBack after \d+\.\d s\.\n/);
  expect(String(stderr)).not.toMatch(/could not go on|have ended/);
  const journal = await company.journal();
  expect(journal.of("tunnel.resumed").length).toBeGreaterThanOrEqual(cuts);
  expect(journal.of("tunnel.resumed").every(({ lost }) => lost === 0)).toBe(true);
  expect(journal.firstBreak()).toBeUndefined();
});
