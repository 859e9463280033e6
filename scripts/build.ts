// Bundles the two programs into packages/*/dist: one file per entry, shared chunks beside them, dependencies left outside.

import { chmod, readdir, readFile, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { build as bundle } from "esbuild";
import { root } from "./root.ts";

const programs = [
  { folder: "packages/server", entries: ["src/main.ts", "src/store/sqlite-worker.ts"] },
  { folder: "packages/cli", entries: ["src/main.ts", "src/keychain-helper.ts"] },
];

/** Builds both programs; takes well under a second, so that every task can afford it. */
export async function build(): Promise<void> {
  await Promise.all(programs.map(buildProgram));
}

async function buildProgram({ folder, entries }: (typeof programs)[number]): Promise<void> {
  const packageFolder = join(root, folder);
  const manifest: unknown = JSON.parse(await readFile(join(packageFolder, "package.json"), "utf8"));
  const { dependencies = {}, optionalDependencies = {}, version } = manifest as PackageManifest;
  const { metafile } = await bundle({
    absWorkingDir: packageFolder,
    entryPoints: entries,
    entryNames: "[name]",
    // Beside the entries, because a chunk finds its worker or helper next to itself.
    chunkNames: "chunk-[hash]",
    outdir: "dist",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22",
    external: [...Object.keys(dependencies), ...Object.keys(optionalDependencies)],
    define: { JITDB_VERSION: JSON.stringify(version) },
    logLevel: "error",
    metafile: true,
  });
  // Only now, so that a program that is started meanwhile finds its files.
  await removeStale(join(packageFolder, "dist"), Object.keys(metafile.outputs));
  await chmod(join(packageFolder, "dist", "main.js"), 0o755);
}

/** Chunks of earlier builds: their names change with what is in them. */
async function removeStale(dist: string, outputs: readonly string[]): Promise<void> {
  const current = new Set(outputs.map((path) => basename(path)));
  for (const name of await readdir(dist)) {
    if (!current.has(name)) {
      await rm(join(dist, name), { recursive: true, force: true });
    }
  }
}

interface PackageManifest {
  readonly version: string;
  readonly dependencies?: Record<string, string>;
  readonly optionalDependencies?: Record<string, string>;
}

if (import.meta.main) {
  await build();
}
