// A session for each query: what a client pays that keeps no connections.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runFar } from "../site.ts";
import type { Measure } from "./measure.ts";

export const connectMeasure: Measure = {
  name: "connects",
  unit: "1/s",
  per: "transaction",
  async run({ site, path, scale }) {
    const file = join(site.folder, "one.sql");
    await writeFile(file, "SELECT 1;\n");
    const load = ["-n", "-C", "-f", file, "-c", "1", "-T", String(scale.seconds)];
    const { stdout } = await runFar(site.far, ["pgbench", ...load], path.environment);
    return {
      value: Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]),
      units: Number(/actually processed: (\d+)/.exec(stdout)?.[1]),
    };
  },
};
