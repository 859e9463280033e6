// `npm run bench -- --publish`: keeps a run beside docs/performance.md, which shows its table and a drawing of it.

import { readFile, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { chartOf } from "./chart.ts";
import { type MeasureRounds, reached, valuesOf } from "./report.ts";
import { ratioOf } from "./statistics.ts";

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

/** Ratios to a direct connection, medians of the rounds; jitdb's with the spread of its rounds. */
export function toRatioTable({ date, machine, scale, measures }: PublishedRun): string {
  const goals = reached(measures);
  const rows = measures.map(({ measure, paths }) => {
    const of = (name: string) => paths.find(({ path }) => path === name);
    const direct = valuesOf(of("direct"));
    const ratio = (name: string) => {
      const rounds = of(name);
      return rounds && ratioOf(valuesOf(rounds), direct);
    };
    const short = (name: string) => ratio(name)?.median.toFixed(2) ?? "";
    const own = ratio("jitdb");
    const spread = own === undefined ? "" : ` (${own.least.toFixed(2)}–${own.most.toFixed(2)})`;
    const verdicts = goals
      .filter((goal) => goal.measure === measure)
      .map((goal) => {
        const sign = goal.isMost === true ? "≤" : "≥";
        const verdict = goal.verdict === "missed" ? "**missed**" : goal.verdict;
        return `${goal.ratio.toFixed(2)} of ${goal.against} (${sign} ${goal.floor}): ${verdict}`;
      });
    return `| ${measure} | ${short("ssh")} | ${short("pgbouncer")} | ${short("bare")} | ${short("jitdb")}${spread} | ${verdicts.join("; ")} |`;
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
