// Bulk, both ways: a table that COPY moves, several times in one session, so that windows and connections are warm.

import { join } from "node:path";
import { runFar } from "../site.ts";
import type { Measure, Result, Turn } from "./measure.ts";

/** Bytes of one row as COPY writes it; the table is made so. */
export const rowBytes = 100;
const gigabyte = 1e9;

async function timed({ site, path, scale }: Turn, commands: readonly string[]): Promise<Result> {
  const script = commands.flatMap((command) => ["-c", command]);
  const began = performance.now();
  await runFar(site.far, ["psql", "-Xwq", "-v", "ON_ERROR_STOP=1", ...script], path.environment);
  const seconds = (performance.now() - began) / 1000;
  const bytes = scale.rows * rowBytes * (commands.length - 1);
  return { value: bytes / seconds / 1e6, units: bytes / gigabyte };
}

/** The first one warms the path up, and counts as its part of the time. */
function times(turn: Turn): number {
  return Math.max(2, Math.round(turn.scale.rows / 250_000));
}

export const copyMeasures: readonly Measure[] = [
  {
    name: "copy out",
    unit: "MB/s",
    per: "GB",
    run: (turn) => {
      const copy = "\\copy app.bench TO '/dev/null'";
      return timed(turn, ["SELECT 1", ...Array.from({ length: times(turn) }, () => copy)]);
    },
  },
  {
    name: "copy in",
    unit: "MB/s",
    per: "GB",
    run: (turn) => {
      const copy = `\\copy loaded FROM '${rowsFile(turn)}'`;
      const made = "CREATE TEMP TABLE loaded (LIKE app.bench)";
      return timed(turn, [made, ...Array.from({ length: times(turn) }, () => copy)]);
    },
  },
];

/** What `copy in` loads. */
export function rowsFile({ site }: Pick<Turn, "site">): string {
  return join(site.folder, "rows.tsv");
}
