// What it costs that each statement is on record before the database has it: jitdb beside itself without records of statements.

import type { Measure } from "./measure.ts";
import { runPgbench } from "./pgbench.ts";

export const auditMeasures: readonly Measure[] = [1, 16].map((clients) => ({
  name: `audit: pgbench simple c${clients}`,
  unit: "tps",
  per: "transaction",
  on: ["unrecorded", "jitdb"],
  run: (turn) => runPgbench(turn, clients, "simple"),
}));
