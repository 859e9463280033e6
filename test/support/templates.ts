// What takes long to make and is the same for many tests is made once, by whoever needs it first; the others copy it.

import { existsSync } from "node:fs";
import { chmod, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";

/** Names the folder for all of it: the tests' global set-up has one. */
export const templatesVariable = "JITDB_TEST_TEMPLATES";

/**
 * The folder of this name, with what `make` puts into it. Files of tests that need it at the same time make one each, and the first one
 * stays. Undefined outside the tests (the demo, the bench), where everything is made for the one who needs it.
 */
export async function madeOnce(
  name: string,
  make: (folder: string) => Promise<void>,
): Promise<string | undefined> {
  const templates = process.env[templatesVariable];
  if (templates === undefined) {
    return undefined;
  }
  const template = join(templates, name);
  if (!existsSync(template)) {
    const folder = await mkdtemp(`${template}-`);
    // The databases' user has to enter it.
    await chmod(folder, 0o755);
    await make(folder);
    await rename(folder, template).catch(() => rm(folder, { recursive: true }));
  }
  return template;
}
