// Writes the pages of docs/ that are made of the code.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describeCommandLine } from "../packages/cli/src/reference.ts";
import { describeFaults } from "../test/faults/page.ts";
import { faultTable } from "../test/faults/table.ts";
import { root } from "./root.ts";

await writeFile(join(root, "docs", "cli.md"), await describeCommandLine());
await writeFile(join(root, "docs", "errors.md"), describeFaults(faultTable));
