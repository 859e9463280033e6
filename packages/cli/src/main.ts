#!/usr/bin/env node
// The door of `jitdb`: hands the arguments to the program and ends with its exit code.

import { run } from "./cli.ts";

for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // `jitdb audit | head`: the reader has had enough, which is no failure of ours.
    if (error.code !== "EPIPE") {
      throw error;
    }
  });
}
process.exitCode = await run(process.argv.slice(2));
