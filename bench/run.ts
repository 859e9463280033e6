// One interleaved run: in every round each path has its turn, forwards and backwards by turns.

import { runConnects } from "./measures/connects.ts";
import type { Measure, Result, Scale } from "./measures/measure.ts";
import { runPgbench } from "./measures/pgbench.ts";
import { cpuSeconds, type Path } from "./paths/path.ts";
import type { MeasureRounds } from "./report.ts";
import type { Site } from "./site.ts";

/** Of each kind of work. */
const warmUpSeconds = 4;

/** Paths whose programs are compiled as they run; the others are what they are from their first second on. */
const compiling: readonly Path["name"][] = ["bare", "unrecorded", "jitdb"];

/**
 * Lets paths carry queries and connections for a while. They are programs that run for days: what counts is not their first
 * second, in which nothing of their code is compiled.
 */
export async function warmUp(site: Site, paths: readonly Path[], scale: Scale): Promise<void> {
  for (const path of paths.filter(({ name }) => compiling.includes(name))) {
    const turn = { site, path, scale };
    await runPgbench(turn, 16, "simple", warmUpSeconds);
    await runConnects(turn, 16, warmUpSeconds);
  }
}

export async function runMeasure(
  measure: Measure,
  site: Site,
  paths: readonly Path[],
  scale: Scale,
): Promise<MeasureRounds> {
  const able = paths.filter(({ name }) => takesPart(name, measure));
  const rounds = able.map((path) => ({ path, results: [] as Result[], cpu: [] as number[] }));
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

function takesPart(name: Path["name"], { on, without }: Measure): boolean {
  return on?.includes(name) ?? (name !== "unrecorded" && without?.includes(name) !== true);
}

function totalCpu(path: Path): number {
  return path.pids().reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}
