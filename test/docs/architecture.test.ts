// ARCHITECTURE.md names files. A name that no longer leads anywhere sends a newcomer astray.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..", "..");
const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard"], {
  cwd: root,
  encoding: "utf8",
}).split("\n");

test("every file that ARCHITECTURE.md names is there", () => {
  const text = readFileSync(join(root, "ARCHITECTURE.md"), "utf8");
  const named = Array.from(text.matchAll(/`([\w./-]+\.(?:ts|md))`/g), ([, name = ""]) => name);
  expect(named.length).toBeGreaterThan(40);
  const missing = named.filter(
    (name) => !files.some((file) => file === name || file.endsWith(`/${name}`)),
  );
  expect(missing).toEqual([]);
});
