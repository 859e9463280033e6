// `npm run bench -- --publish`: keeps a run beside docs/performance.md, which shows its table and a drawing of it.

import { readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { chartOf } from "./chart.ts";
import { type GoalReached, type MeasureRounds, reached, valuesOf } from "./report.ts";
import { median, ratioOf } from "./statistics.ts";

export interface PublishedRun {
  /** ISO 8601. */
  readonly date: string;
  readonly machine: string;
  readonly scale: string;
  readonly measures: readonly MeasureRounds[];
}

const begin = "<!-- newest run -->";
const end = "<!-- end of the newest run -->";

/** What a run says of where and when it was. */
export function describeRun(scale: string, measures: readonly MeasureRounds[]): PublishedRun {
  const [first] = cpus();
  const machine = `${cpus().length} cores (${first?.model.trim() ?? "unknown"}), Node ${process.version}`;
  return { date: new Date().toISOString().slice(0, 10), machine, scale, measures };
}

/** @param docs the folder of performance.md */
export async function publish(docs: string, run: PublishedRun): Promise<void> {
  const page = join(docs, "performance.md");
  const text = await readFile(page, "utf8");
  await writeFile(join(docs, "performance.json"), `${JSON.stringify(run)}\n`);
  await writeFile(join(docs, "performance.svg"), chartOf(run));
  await writeFile(page, withRun(text, run));
}

/** The page with this run in the place of the last one. */
export function withRun(page: string, run: PublishedRun): string {
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from === -1 || to < from) {
    throw new Error(`The page has no place for a run: ${begin} … ${end}`);
  }
  return `${page.slice(0, from + begin.length)}\n${toRatioTable(run)}${page.slice(to)}`;
}

/**
 * Ratios to a direct connection, medians of the rounds; jitdb's with the spread of its rounds, or its own value where no direct connection was
 * measured.
 */
export function toRatioTable({ date, machine, scale, measures }: PublishedRun): string {
  const goals = reached(measures);
  const rows = measures.map((rounds) => {
    const cells = [...ratioCells(rounds), verdictsOf(rounds, goals)];
    return `| ${rounds.measure} | ${cells.join(" | ")} |`;
  });
  return [
    `${date}, ${machine}, ${scale}.`,
    "",
    "| measure | `ssh -L` | PgBouncer | bare Node | jitdb | floors |",
    "|---|---|---|---|---|---|",
    ...rows,
    "",
    "![Ratios to a direct connection](performance.svg)",
    "",
  ].join("\n");
}

function ratioCells({ unit, paths }: MeasureRounds): string[] {
  const of = (name: string) => paths.find(({ path }) => path === name);
  const direct = of("direct");
  if (direct === undefined) {
    return ["", "", "", `${median(valuesOf(of("jitdb"))).toFixed(unit === "tps" ? 0 : 1)} ${unit}`];
  }
  return ["ssh", "pgbouncer", "bare", "jitdb"].map((name) => {
    const rounds = of(name);
    if (rounds === undefined) {
      return "";
    }
    const ratio = ratioOf(valuesOf(rounds), valuesOf(direct));
    const spread = ` (${ratio.least.toFixed(2)}–${ratio.most.toFixed(2)})`;
    return `${ratio.median.toFixed(2)}${name === "jitdb" ? spread : ""}`;
  });
}

/** How the table calls what a floor is held against. */
const names = { direct: "direct", ssh: "ssh", unrecorded: "jitdb without records" } as const;

function verdictsOf({ measure, unit }: MeasureRounds, goals: readonly GoalReached[]): string {
  return goals
    .filter((goal) => goal.measure === measure)
    .map(({ value, against, floor, isMost, verdict }) => {
      const said =
        against === undefined
          ? `${value.toFixed(1)} ${unit}`
          : `${value.toFixed(2)} of ${names[against]}`;
      const limit = `${isMost === true ? "≤" : "≥"} ${floor}`;
      return `${said} (${limit}): ${verdict === "missed" ? "**missed**" : verdict}`;
    })
    .join("; ");
}
