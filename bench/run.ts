// One interleaved run: in every round each path has its turn, forwards and backwards by turns.

import type { Measure, Result, Scale } from "./measures/measure.ts";
import { cpuSeconds, type Path } from "./paths/path.ts";
import type { MeasureRounds } from "./report.ts";
import type { Site } from "./site.ts";

export async function runMeasure(
  measure: Measure,
  site: Site,
  paths: readonly Path[],
  scale: Scale,
): Promise<MeasureRounds> {
  const rounds = paths.map((path) => ({ path, results: [] as Result[], cpu: [] as number[] }));
  for (let round = 0; round < scale.rounds; round += 1) {
    for (const one of round % 2 === 0 ? rounds : [...rounds].reverse()) {
      const before = totalCpu(one.path);
      one.results.push(await measure.run({ site, path: one.path, scale }));
      one.cpu.push(totalCpu(one.path) - before);
    }
  }
  return {
    measure: measure.name,
    unit: measure.unit,
    per: measure.per,
    paths: rounds.map(({ path, results, cpu }) => ({ path: path.name, results, cpuSeconds: cpu })),
  };
}

function totalCpu(path: Path): number {
  return path.pids().reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}
