#!/usr/bin/env node
// The door of `jitdb`: hands the arguments to the program and ends with its exit code.

import { run } from "./cli.ts";

process.exitCode = await run(process.argv.slice(2));
