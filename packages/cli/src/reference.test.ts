import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { describeCommandLine } from "./reference.ts";

it("docs/cli.md says what the commands say; `node scripts/run.mjs docs` writes it anew", async () => {
  const page = new URL("../../../docs/cli.md", import.meta.url);
  expect(await readFile(page, "utf8")).toBe(await describeCommandLine());
});
