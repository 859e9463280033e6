// Bundles the two programs into packages/*/dist: one file per entry, shared chunks beside them, what is native left outside.

import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { build as bundle, type OutputFile, type Plugin } from "esbuild";
import { root } from "./root.ts";

const server = {
  folder: "packages/server",
  entries: ["src/main.ts", "src/store/sqlite-worker.ts"],
};
const cli = { folder: "packages/cli", entries: ["src/main.ts", "src/keychain-helper.ts"] };

/** What bundled CommonJS modules expect to have. */
const commonJs = `import { createRequire as jitdbRequire } from "node:module";
const require = jitdbRequire(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname;`;

/** Builds both programs; takes well under a second, so that every task can afford it. */
export async function build(): Promise<void> {
  await Promise.all([server, cli].map((program) => buildProgram(program, "dist")));
}

/** What stands in each file of the built `jitdb`: its name, and paths of modules. */
export async function modulesOfCli(): Promise<ReadonlyMap<string, readonly string[]>> {
  const { metafile } = await bundleProgram(cli, "dist");
  const files = Object.entries(metafile.outputs);
  return new Map(files.map(([path, { inputs }]) => [basename(path), Object.keys(inputs)]));
}

/**
 * Builds another server, for the bench.
 * @param outdir below the package's folder, where it finds its dependencies
 * @returns its folder
 */
export async function buildServer(outdir: string, plugin: Plugin): Promise<string> {
  await buildProgram(server, outdir, [plugin]);
  return join(root, server.folder, outdir);
}

async function buildProgram(
  program: typeof server,
  outdir: string,
  plugins: Plugin[] = [],
): Promise<void> {
  const { outputFiles } = await bundleProgram(program, outdir, plugins);
  const dist = join(root, program.folder, outdir);
  await mkdir(dist, { recursive: true });
  await Promise.all(outputFiles.map(replace));
  // Only now, so that a program that is started meanwhile finds its files.
  await removeStale(dist, outputFiles);
}

/** Writes nothing. */
async function bundleProgram(
  { folder, entries }: typeof server,
  outdir: string,
  plugins: Plugin[] = [],
) {
  const packageFolder = join(root, folder);
  const manifest: unknown = JSON.parse(await readFile(join(packageFolder, "package.json"), "utf8"));
  const { dependencies = {}, optionalDependencies = {}, version } = manifest as PackageManifest;
  return await bundle({
    absWorkingDir: packageFolder,
    entryPoints: entries,
    entryNames: "[name]",
    // Beside the entries, because a chunk finds its worker or helper next to itself.
    chunkNames: "chunk-[hash]",
    outdir,
    plugins,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node22",
    // Development dependencies are bundled: hundreds of small files take longer to find than to run.
    external: [...Object.keys(dependencies), ...Object.keys(optionalDependencies)],
    banner: { js: commonJs },
    // Programs keep their sources in memory, in twice the bytes where a comment has more than Latin-1. Names stay, for stack traces.
    minifyWhitespace: true,
    lineLimit: 200,
    // Licences stand in files of their own for the same reason.
    legalComments: "external",
    define: { JITDB_VERSION: JSON.stringify(version) },
    logLevel: "error",
    metafile: true,
    write: false,
  });
}

/** At once and only where something changed: a program that is started meanwhile reads whole files. */
async function replace({ path, contents }: OutputFile): Promise<void> {
  const present = await readFile(path).catch(() => undefined);
  if (present === undefined || !present.equals(contents)) {
    const next = `${path}.${process.pid}`;
    await writeFile(next, contents, { mode: 0o755 });
    await rename(next, path);
  }
}

/** Chunks of earlier builds: their names change with what is in them. What another build is writing is none of its business. */
async function removeStale(dist: string, outputs: readonly OutputFile[]): Promise<void> {
  const current = new Set(outputs.map(({ path }) => basename(path)));
  for (const name of await readdir(dist)) {
    if (/\.(js|LEGAL\.txt)$/.test(name) && !current.has(name)) {
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
