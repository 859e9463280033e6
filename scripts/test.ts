// `npm test`: builds, runs the unit and the integration tests, and closes with one line that counts them. `npm test -- --all` runs the
// exhaustive ones, too: every fault, a cut at every byte, a crash at every step, the differential bench.

import { runTests } from "./run-tests.ts";

const [all, rest] = [process.argv.includes("--all"), process.argv.slice(2)];
const projects = ["unit", "integration", ...(all ? ["exhaustive"] : [])];
process.exitCode = await runTests(
  projects,
  rest.filter((argument) => argument !== "--all"),
);
