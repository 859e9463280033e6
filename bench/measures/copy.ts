// Bulk, both ways: a table that COPY moves, several times in one session; the first time only warms up.

import { join } from "node:path";
import { runFar } from "../site.ts";
import type { Measure, Result, Turn } from "./measure.ts";

/** Bytes of one row as COPY writes it; the table is made so. */
export const rowBytes = 100;
const gigabyte = 1e9;
const warmUps = 1;

/** @param copy psql's command, run so often that the windows are grown and the connections warm, and then timed by psql itself */
async function timed({ site, path, scale }: Turn, made: string, copy: string): Promise<Result> {
  const times = Math.max(2, Math.round(scale.rows / 250_000));
  const copies = Array.from({ length: warmUps + times }, () => copy);
  const script = [made, "\\timing on", ...copies].flatMap((command) => ["-c", command]);
  const command = ["psql", "-Xwq", "-v", "ON_ERROR_STOP=1", ...script];
  const { stdout } = await runFar(site.far, command, path.environment);
  const tookMs = [...stdout.matchAll(/^Time: ([\d.]+) ms/gm)].map(([, ms]) => Number(ms));
  const bytes = scale.rows * rowBytes;
  const seconds = tookMs.slice(warmUps).reduce((sum, ms) => sum + ms, 0) / 1000;
  // Processor time is counted over all of them.
  return { value: (bytes * times) / seconds / 1e6, units: (bytes * copies.length) / gigabyte };
}

export const copyMeasures: readonly Measure[] = [
  {
    name: "copy out",
    unit: "MB/s",
    per: "GB",
    run: (turn) => timed(turn, "SELECT 1", "\\copy app.bench TO '/dev/null'"),
  },
  {
    name: "copy in",
    unit: "MB/s",
    per: "GB",
    run: (turn) => {
      const made = "CREATE TEMP TABLE loaded (LIKE app.bench)";
      return timed(turn, made, `\\copy loaded FROM '${rowsFile(turn)}'`);
    },
  },
];

/** What `copy in` loads. */
export function rowsFile({ site }: Pick<Turn, "site">): string {
  return join(site.folder, "rows.tsv");
}
