// A session for each query: what a client pays that keeps no connections.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runFar } from "../site.ts";
import type { Measure, Result, Turn } from "./measure.ts";

/** So many clients, each of which connects, asks once and leaves, again and again. */
export async function runConnects(
  { site, path }: Turn,
  clients: number,
  seconds: number,
): Promise<Result> {
  const file = join(site.folder, "one.sql");
  await writeFile(file, "SELECT 1;\n");
  const load = ["-n", "-C", "-f", file, "-c", String(clients), "-T", String(seconds)];
  const { stdout } = await runFar(site.far, ["pgbench", ...load], path.environment);
  return {
    value: Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]),
    units: Number(/actually processed: (\d+)/.exec(stdout)?.[1]),
  };
}

export const connectMeasure: Measure = {
  name: "connects",
  unit: "1/s",
  per: "transaction",
  run: (turn) => runConnects(turn, 1, turn.scale.seconds),
};
