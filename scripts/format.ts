// Formats and lints the whole tree, mending what can be mended.

import { runTool } from "./run-tool.ts";

process.exitCode = await runTool("biome", ["check", "--write", "."]);
