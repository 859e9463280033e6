// `npm run soak`: the long tests alone. JITDB_SEED repeats a run that failed.

import { runTests } from "./run-tests.ts";

process.exitCode = await runTests(["soak"], process.argv.slice(2));
