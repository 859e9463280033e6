// What the built program loads: start-up time is decided by imports, and imports can be counted.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { modulesOfCli } from "../../scripts/build.ts";
import { programs } from "../support/programs.ts";

let home: string;
let bundled: ReadonlyMap<string, readonly string[]>;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "jitdb-start-"));
  bundled = await modulesOfCli();
});
afterAll(() => rm(home, { recursive: true }));

/** Packages whose modules a run loads, by a loader hook that prints the address of each file. */
async function packagesOf(args: readonly string[]): Promise<string[]> {
  const hook = `
    import { registerHooks } from "node:module";
    import { writeSync } from "node:fs";
    registerHooks({ load: (url, context, next) => {
      writeSync(2, "loads " + url + "\\n");
      return next(url, context);
    } });`;
  const address = `data:text/javascript,${encodeURIComponent(hook)}`;
  const { stderr } = await execa(process.execPath, ["--import", address, programs.jitdb, ...args], {
    extendEnv: false,
    env: { JITDB_HOME: home },
    reject: false,
  });
  const loaded = [...stderr.matchAll(/^loads (file:.*)$/gm)].map(([, url = ""]) => url);
  // Bundled modules, and keytar, which is a file of its own.
  const modules = loaded.flatMap((url) => [url, ...(bundled.get(basename(url)) ?? [])]);
  const names = modules.join("\n").matchAll(/^.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//gm);
  return [...new Set(Array.from(names, ([, name = ""]) => name))].sort();
}

it("loads nothing but commander for --version and --help", async () => {
  expect(await packagesOf(["--version"])).toEqual(["commander"]);
  expect(await packagesOf(["--help"])).toEqual(["commander"]);
});

it("loads neither network nor prompts for a command that fails before it needs them", async () => {
  const loaded = await packagesOf(["grants"]);
  expect(loaded).toContain("chalk");
  for (const name of [
    "oauth4webapi",
    "ws",
    "ora",
    "execa",
    "jose",
    "@inquirer/prompts",
    "keytar",
  ]) {
    expect(loaded).not.toContain(name);
  }
});
