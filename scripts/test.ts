// `npm test`: builds, runs the unit and the integration tests, and closes with one line that counts them.

import { runTests } from "./run-tests.ts";

process.exitCode = await runTests(["unit", "integration"], process.argv.slice(2));
