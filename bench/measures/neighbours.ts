// One client beside another that takes all it can get, and beside one that has stopped reading.

import { execa } from "execa";
import pg from "pg";
import type { Measure, Turn } from "./measure.ts";
import { runPgbench } from "./pgbench.ts";

async function beside(turn: Turn, begin: () => Promise<() => Promise<void>>) {
  const end = await begin();
  try {
    return await runPgbench(turn, 1, "simple");
  } finally {
    await end();
  }
}

/** In the result list: in FROM all of it would be made before the first row comes. */
const endless = "SELECT repeat('x', 1000), generate_series(1, 1000000000)";

/** COPY without an end, thrown away. */
async function bulk({ site, path }: Turn): Promise<() => Promise<void>> {
  const sql = `COPY (${endless}) TO STDOUT`;
  const [program = "", ...args] = [...site.far, "psql", "-Xwqc", sql];
  const child = execa(program, args, {
    env: path.environment,
    reject: false,
    buffer: false,
    stdin: "ignore",
    stdout: "ignore",
  });
  return async () => {
    child.kill("SIGKILL");
    await child;
  };
}

/** A client that asks for more than any window holds, and reads nothing. */
async function stopped({ path }: Turn): Promise<() => Promise<void>> {
  const { PGHOST: host = "", PGPORT: port, PGUSER, PGPASSWORD, PGDATABASE } = path.environment;
  const client = new pg.Client({
    ...{ host, port: Number(port), user: PGUSER, password: PGPASSWORD, database: PGDATABASE },
  });
  client.on("error", () => undefined);
  await client.connect();
  const { stream } = client.connection;
  client.query(endless).catch(() => undefined);
  stream.pause();
  return async () => {
    stream.destroy();
  };
}

/** Without flow control a relay keeps what nobody reads, and whoever is beside it waits for ever. */
const without = ["bare"] as const;

export const neighbourMeasures: readonly Measure[] = [
  {
    name: "neighbour of a bulk stream",
    unit: "tps",
    without,
    run: (turn) => beside(turn, () => bulk(turn)),
  },
  {
    name: "neighbour of a stopped reader",
    unit: "tps",
    without,
    run: (turn) => beside(turn, () => stopped(turn)),
  },
];
