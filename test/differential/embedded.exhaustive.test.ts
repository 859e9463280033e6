// The differential bench (invariants 19, 20, 21) on the newest PostgreSQL that npm has, whose package holds no client
// programs.

import { runBench } from "./run-bench.ts";
import { cornerScripts } from "./scripts/corners.ts";
import { driverScripts } from "./scripts/driver.ts";
import { extendedQueryScripts } from "./scripts/extended-query.ts";
import { newestProtocolScripts, operationScripts } from "./scripts/operations.ts";
import { simpleQueryScripts } from "./scripts/simple-query.ts";
import { violationScripts } from "./scripts/violations.ts";

runBench("embedded", [
  ...simpleQueryScripts,
  ...operationScripts,
  ...newestProtocolScripts,
  ...extendedQueryScripts,
  ...cornerScripts,
  ...violationScripts,
  ...driverScripts,
]);
