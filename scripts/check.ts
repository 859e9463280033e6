// Lint, types (tests included), the kernel's own stricter types, and dead code. All of them run, so that one visit shows everything.

import { runTool } from "./run-tool.ts";

const checks: readonly (readonly [tool: string, ...args: string[]])[] = [
  ["biome", "ci", "--error-on-warnings", `--colors=${process.stdout.isTTY ? "force" : "off"}`, "."],
  ["tsc", "--noEmit", "-p", "tsconfig.json"],
  ["tsc", "--noEmit", "-p", "packages/shared/tsconfig.json"],
  ["knip"],
];

for (const [tool, ...args] of checks) {
  const exitCode = await runTool(tool, args);
  process.stdout.write(`${exitCode === 0 ? "ok  " : "FAIL"} ${tool} ${args.join(" ")}\n`);
  process.exitCode = exitCode === 0 ? process.exitCode : 1;
}
