// Over a long path: what a person waits for who connects and asks one thing. Bulk over it is measured as near.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runFar } from "../site.ts";
import type { Measure } from "./measure.ts";

const connections = 10;

/** By one client that runs on, so that a program's start, the same on every path, is not counted. */
export const firstQueryMeasure: Measure = {
  name: "connect and first query",
  unit: "ms",
  isLess: true,
  async run({ site, path }) {
    const file = join(site.folder, "one.sql");
    await writeFile(file, "SELECT 1;\n");
    const load = ["-n", "-C", "-f", file, "-c", "1", "-t", String(connections)];
    const { stdout } = await runFar(site.far, ["pgbench", ...load], path.environment);
    return { value: 1000 / Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]) };
  },
};
