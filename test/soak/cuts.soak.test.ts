// A gigabyte each way, and a prepared statement's work, through a hundred cuts each.

import { stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Company, type Door } from "../e2e/company.ts";
import {
  copyIn,
  copyOut,
  cutWithin,
  hashOfRows,
  randomFrom,
  runPrepared,
  startFailingNetwork,
} from "../e2e/cuts.ts";
import { chooseSeed } from "../e2e/random-crashes.ts";
import type { CuttingProxy } from "../support/cutting-proxy.ts";
import { requireProgram } from "../support/psql.ts";

const rows = 1_080_000;
const count = 100;
const gigabyte = 1024 ** 3;

let company: Company;
let network: CuttingProxy;
let door: Door;
const random = randomFrom(chooseSeed());
beforeAll(async () => {
  company = await Company.found({
    async prepare(installation) {
      network = await startFailingNetwork(installation);
    },
  });
  door = await company.open("1h");
});
afterAll(async () => {
  await company?.close();
  await network?.close();
});

test("a prepared statement gives the right answer each time through a hundred cuts", async () => {
  const isDone = cutWithin(network, { bytes: 1_000_000, count, random });
  expect(await runPrepared(door, 5000, isDone)).toBe(0);
});

test("a gigabyte of COPY arrives whole both ways through a hundred cuts each", async (context) => {
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
  expect(size).toBeGreaterThan(gigabyte);
  const isOutDone = cutWithin(network, { bytes: size, count, random });
  expect(await copyOut(door.environment, rows)).toEqual(expected);
  expect(isOutDone()).toBe(true);
  const isInDone = cutWithin(network, { bytes: size, count, random });
  expect(await copyIn(door, file)).toBe(await hashOfRows(postgres.url("orders"), rows));
  expect(isInDone()).toBe(true);
});
