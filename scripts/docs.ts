// Writes the pages of docs/ that are made of the code.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describeCommandLine } from "../packages/cli/src/reference.ts";
import { root } from "./root.ts";

await writeFile(join(root, "docs", "cli.md"), await describeCommandLine());
