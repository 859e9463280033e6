// What the bench says: one table for people, the same as JSON for machines.

import { type Goal, goals, judge } from "./goals.ts";
import type { Result } from "./measures/measure.ts";
import { median, ratioOf } from "./statistics.ts";

/** Every round of one measure on one path. */
export interface PathRounds {
  readonly path: string;
  readonly results: readonly Result[];
  /** Seconds of processor time in each round, of the processes that carry the bytes. */
  readonly cpuSeconds: readonly number[];
}

export interface MeasureRounds {
  readonly measure: string;
  readonly unit: string;
  readonly per: string | undefined;
  readonly paths: readonly PathRounds[];
}

export interface GoalReached extends Goal {
  /** The ratio to the other path, or what was measured where there is none. */
  readonly value: number;
  readonly verdict: ReturnType<typeof judge>;
}

export const valuesOf = (rounds: PathRounds | undefined) =>
  (rounds?.results ?? []).map(({ value }) => value);

/** How jitdb does against the goals that this run has measured. */
export function reached(measures: readonly MeasureRounds[]): GoalReached[] {
  return goals.flatMap((goal) => {
    const paths = measures.find(({ measure }) => measure === goal.measure)?.paths ?? [];
    const of = (name: string) => paths.find(({ path }) => path === name);
    const own = of("jitdb");
    const other = goal.against && of(goal.against);
    if (own === undefined || (goal.against !== undefined && other === undefined)) {
      return [];
    }
    const values = valuesOf(own);
    const value = other === undefined ? median(values) : ratioOf(values, valuesOf(other)).median;
    return [{ ...goal, value, verdict: judge(goal, value) }];
  });
}

/** Rows of a Markdown table: value, ratio to the first path with its spread, processor time. */
export function toTable({ measure, unit, per, paths }: MeasureRounds): string {
  const [first] = paths;
  const rows = paths.map((rounds) => {
    const values = valuesOf(rounds);
    const ratio = ratioOf(values, valuesOf(first));
    const spread =
      paths.length === 1
        ? ""
        : `${ratio.median.toFixed(2)} (${ratio.least.toFixed(2)}–${ratio.most.toFixed(2)})`;
    const extras = Object.keys(rounds.results[0]?.extras ?? {}).map((name) => {
      const all = rounds.results.map((result) => result.extras?.[name] ?? Number.NaN);
      return `${name} ${median(all).toFixed(2)}`;
    });
    return `| ${rounds.path} | ${median(values).toFixed(unit === "tps" ? 0 : 1)} | ${spread} | ${cpuOf(rounds, per)} | ${extras.join(", ")} |`;
  });
  const head = [
    `**${measure}** (${unit})`,
    "",
    `| path | median | to ${first?.path} | CPU | |`,
    "|---|---|---|---|---|",
  ];
  return [...head, ...rows, ""].join("\n");
}

function cpuOf({ results, cpuSeconds }: PathRounds, per: string | undefined): string {
  if (per === undefined) {
    return "";
  }
  const each = cpuSeconds.map((seconds, round) => seconds / (results[round]?.units ?? Number.NaN));
  return per === "GB" ? `${median(each).toFixed(2)} s/GB` : `${(median(each) * 1e6).toFixed(0)} µs`;
}

export function toGoalTable(measures: readonly MeasureRounds[]): string {
  const rows = reached(measures).map(({ measure, against, value, floor, stretch, verdict }) => {
    const cells = [measure, against ?? "", value.toFixed(2), floor, stretch ?? "", verdict];
    return `| ${cells.join(" | ")} |`;
  });
  const head = ["| measure | against | value | floor | stretch | |", "|---|---|---|---|---|---|"];
  return [...head, ...rows, ""].join("\n");
}
