// Over a long path: what a person waits for who starts psql. Bulk over it is measured as near.

import { runFar } from "../site.ts";
import type { Measure } from "./measure.ts";

export const firstQueryMeasure: Measure = {
  name: "connect and first query",
  unit: "ms",
  isLess: true,
  async run({ site, path }) {
    const began = performance.now();
    await runFar(site.far, ["psql", "-Xwqc", "SELECT 1"], path.environment);
    return { value: performance.now() - began };
  },
};
