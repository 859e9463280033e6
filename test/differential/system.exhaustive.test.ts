// The differential bench on the machine's PostgreSQL, with all of its programs (invariants 19, 20, 21). script.ts says how
// to add a script.

import { runBench } from "./run-bench.ts";
import { cornerScripts } from "./scripts/corners.ts";
import { driverScripts } from "./scripts/driver.ts";
import { extendedQueryScripts } from "./scripts/extended-query.ts";
import { operationScripts } from "./scripts/operations.ts";
import { psqlScripts } from "./scripts/psql.ts";
import { simpleQueryScripts } from "./scripts/simple-query.ts";
import { toolScripts } from "./scripts/tools.ts";
import { violationScripts } from "./scripts/violations.ts";

runBench("system", [
  ...simpleQueryScripts,
  ...operationScripts,
  ...extendedQueryScripts,
  ...cornerScripts,
  ...violationScripts,
  ...driverScripts,
  ...psqlScripts,
  ...toolScripts,
]);
