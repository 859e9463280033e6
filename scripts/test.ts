// `npm test`: builds, runs the unit and the integration tests, and closes with one line that counts them. `npm test -- --all` runs the
// exhaustive ones, too: every fault, a cut at every byte, a crash at every step, the differential bench; and all of them on two versions of PostgreSQL.

import { allVersionsVariable } from "../test/support/versions.ts";
import { runTests } from "./run-tests.ts";

const args = process.argv.slice(2);
const projects = ["unit", "integration"];
if (args.includes("--all")) {
  args.splice(args.indexOf("--all"), 1);
  projects.push("exhaustive");
  process.env[allVersionsVariable] = "1";
}
process.exitCode = await runTests(projects, args);
