// Short queries, one by one: pgbench's select by key, its answers' times taken from its own log.

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runFar } from "../site.ts";
import { percentile } from "../statistics.ts";
import type { Measure, Result, Turn } from "./measure.ts";

function script(rows: number): string {
  return `\\set aid random(1, ${rows})\nSELECT abalance FROM app.bench WHERE aid = :aid;\n`;
}

export async function runPgbench(
  { site, path, scale }: Turn,
  clients: number,
  mode: "simple" | "prepared",
  seconds = scale.seconds,
): Promise<Result> {
  const folder = await mkdtemp(join(site.folder, "pgbench-"));
  const file = join(folder, "select.sql");
  await writeFile(file, script(scale.rows));
  const log = ["-l", "--log-prefix", join(folder, "log")];
  const load = [
    "-n",
    "-f",
    file,
    "-c",
    String(clients),
    "-j",
    "1",
    "-T",
    String(seconds),
    "-M",
    mode,
  ];
  const { stdout } = await runFar(site.far, ["pgbench", ...load, ...log], path.environment);
  const latencies: number[] = [];
  for (const name of (await readdir(folder)).filter((one) => one.startsWith("log"))) {
    for (const line of (await readFile(join(folder, name), "utf8")).split("\n")) {
      // Client, number, microseconds, …
      const micros = Number(line.split(" ")[2]);
      if (micros > 0) {
        latencies.push(micros / 1000);
      }
    }
  }
  await rm(folder, { recursive: true });
  return {
    value: Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]),
    units: Number(/actually processed: (\d+)/.exec(stdout)?.[1]),
    extras: { "p50 ms": percentile(latencies, 0.5), "p99 ms": percentile(latencies, 0.99) },
  };
}

export const pgbenchMeasures: readonly Measure[] = (["simple", "prepared"] as const).flatMap(
  (mode) =>
    [1, 16].map((clients) => ({
      name: `pgbench ${mode} c${clients}`,
      unit: "tps",
      per: "transaction" as const,
      run: (turn: Turn) => runPgbench(turn, clients, mode),
    })),
);
