// Before the first test that starts a program: builds the two, once, and makes a folder for what tests begin with.

import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../scripts/build.ts";
import { templatesVariable } from "./templates.ts";

export async function setup(): Promise<() => Promise<void>> {
  const templates = await mkdtemp(join(tmpdir(), "jitdb-templates-"));
  // The servers' user has to enter it.
  await chmod(templates, 0o755);
  process.env[templatesVariable] = templates;
  await build();
  return () => rm(templates, { recursive: true, force: true });
}
