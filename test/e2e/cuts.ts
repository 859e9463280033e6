// People work while their network fails again and again. What must hold: every byte arrives once and in order, and no program notices.
// One run for the integration tests, a long one for the soak.

import { createHash } from "node:crypto";
import { type FileHandle, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import pg from "pg";
import { expect } from "vitest";
import { Closers } from "../../packages/server/src/closers.ts";
import { CuttingProxy } from "../support/cutting-proxy.ts";
import { freePort, type Installation } from "../support/installation.ts";
import { Company, type CompanyOptions, type Door } from "./company.ts";

/** A company whose server is reached through a network that fails, and alice's door to its database. */
export interface FailingPlace {
  readonly company: Company;
  readonly network: CuttingProxy;
  readonly door: Door;
  close(): Promise<void>;
}

export async function openFailingPlace(options: CompanyOptions = {}): Promise<FailingPlace> {
  const closers = new Closers();
  const networks: CuttingProxy[] = [];
  try {
    const company = await Company.found({
      ...options,
      async prepare(installation) {
        const network = await startFailingNetwork(installation);
        closers.add(() => network.close());
        networks.push(network);
      },
    });
    closers.add(() => company.close());
    const [network] = networks;
    if (network === undefined) {
      throw new Error("Every company is prepared.");
    }
    const door = await company.open("1h");
    return { ...{ company, network, door }, close: () => closers.close() };
  } catch (error) {
    await closers.close();
    throw error;
  }
}

/** For an installation whose server has not started: from now on its public address is a network that fails. */
async function startFailingNetwork({ serverFolder, url }: Installation): Promise<CuttingProxy> {
  const port = await freePort();
  const file = join(serverFolder, "jitdb.yaml");
  const written = await readFile(file, "utf8");
  const configured = written
    .replace(/^#? ?publicUrl:.*\n/m, "")
    .replace(/^listen:.*$/m, `listen: 127.0.0.1:${port}\npublicUrl: ${url}`);
  await writeFile(file, configured);
  return await CuttingProxy.start(Number(new URL(url).port), port, url.startsWith("https:"));
}

/** A repeatable source of chance (mulberry32), 0 to 1. */
export function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Rows of about a thousand bytes each, no two alike. */
function rowsSql(count: number): string {
  return `SELECT i, md5(i::text), repeat(md5((i * 7)::text), 30) FROM generate_series(1, ${count}) AS i`;
}

interface Transfer {
  readonly bytes: number;
  readonly digest: string;
}

/** COPY of so many rows out and in, through so many cuts each: all that is said about them holds. Gives the bytes of one way. */
export async function copyThroughCuts(
  { company, network, door }: FailingPlace,
  { rows, count, random }: { rows: number; count: number; random: () => number },
): Promise<number> {
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
  const cuts = { bytes: expected.bytes, count, random };
  const isOutDone = cutWithin(network, cuts);
  expect(await copyOut(door.environment, rows)).toEqual(expected);
  expect(isOutDone()).toBe(true);
  const isInDone = cutWithin(network, cuts);
  expect(await copyIn(door, file)).toBe(await hashOfRows(postgres.url("orders"), rows));
  expect(isInDone()).toBe(true);
  return expected.bytes;
}

/** What psql gets of a COPY, through these variables of libpq. */
async function copyOut(
  environment: Readonly<Record<string, string>>,
  rows: number,
  file?: string,
): Promise<Transfer> {
  const psql = execa(
    "psql",
    ["-X", "-w", "-v", "ON_ERROR_STOP=1", "-c", `COPY (${rowsSql(rows)}) TO STDOUT`],
    {
      env: environment,
      buffer: false,
      stdin: "ignore",
    },
  );
  const hash = createHash("sha256");
  const kept: FileHandle | undefined = file === undefined ? undefined : await open(file, "w");
  let bytes = 0;
  for await (const chunk of psql.stdout as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
    await kept?.write(chunk);
  }
  await psql;
  await kept?.close();
  return { bytes, digest: hash.digest("hex") };
}

/** Loads a file with COPY in a transaction, and has the database hash what arrived. */
async function copyIn(door: Door, file: string): Promise<string> {
  const script = [
    "BEGIN",
    "CREATE TEMP TABLE loaded (i int, a text, b text)",
    `\\copy loaded FROM '${file}'`,
    "SELECT count(*), sum(hashtextextended(i || a || b, 0)) FROM loaded",
    "COMMIT",
  ];
  const args = script.flatMap((command) => ["-c", command]);
  const { stdout } = await execa(
    "psql",
    ["-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", ...args],
    {
      env: door.environment,
    },
  );
  return stdout.trim();
}

/** The same hash, of the rows as they are made. */
async function hashOfRows(url: string, rows: number): Promise<string> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    const { rows: found } = await client.query<{ it: string }>(
      `SELECT count(*) || '|' || sum(hashtextextended(i || a || b, 0)) AS it FROM (${rowsSql(rows)}) AS made (i, a, b)`,
    );
    return found[0]?.it ?? "";
  } finally {
    await client.end();
  }
}

/**
 * Cuts so often from now on, each time after a random amount of which all together are less than `bytes`. Gives whether it is done; the
 * network holds from then on.
 */
export function cutWithin(
  network: CuttingProxy,
  { bytes, count, random }: { bytes: number; count: number; random: () => number },
): () => boolean {
  const goal = network.cuts + count;
  network.nextCut = () =>
    network.cuts >= goal ? undefined : 1 + Math.floor(random() * (bytes / count));
  network.cut();
  return () => network.cuts >= goal;
}

/** One prepared statement, run so often with another parameter each time; gives the answers that were wrong. */
export async function runPrepared(
  door: Door,
  count: number,
  isLast: () => boolean,
): Promise<number> {
  const client = await door.client();
  let wrong = 0;
  for (let number = 1; number <= count || !isLast(); number += 1) {
    const { rows } = await client.query({
      name: "twice",
      text: "SELECT $1::int * 2 AS twice, md5($1::text) AS hash",
      values: [number],
    });
    wrong += rows[0]?.twice === number * 2 ? 0 : 1;
  }
  await client.end();
  return wrong;
}
