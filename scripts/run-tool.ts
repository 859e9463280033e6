// Runs a development tool of this clone with its output shown, and gives its exit code.

import { constants } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { root } from "./root.ts";

/** Runs `node_modules/.bin/<tool>`; the answer is its exit code, as a shell would give it. */
export async function runTool(
  tool: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<number> {
  const run = await execa(join(root, "node_modules", ".bin", tool), args, {
    cwd: root,
    stdio: "inherit",
    reject: false,
    env,
  });
  return run.exitCode ?? 128 + (run.signal === undefined ? 0 : constants.signals[run.signal]);
}
