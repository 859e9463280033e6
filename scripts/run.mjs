// Runs one of the project's tasks on a machine that has nothing but Node 20 and npm.
// Installs what the lock file names (with a pinned pnpm, into this folder alone), then hands over to the project's own,
// newer Node. Plain JavaScript, because the Node that starts it may not read TypeScript.

import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const cache = join(root, ".cache");
const node = join(root, "node_modules", ".bin", process.platform === "win32" ? "node.exe" : "node");
const tasks = ["bench", "build", "check", "ci", "demo", "docs", "format", "fuzz", "soak", "test"];

const [task = "", ...args] = process.argv.slice(2);
if (!tasks.includes(task)) {
  process.stderr.write(`error: there is no task "${task}".\nhint: one of ${tasks.join(", ")}.\n`);
  process.exit(2);
}
install();
const script = join(root, "scripts", `${task}.ts`);
const child = spawn(node, [script, ...args], {
  stdio: "inherit",
  env: { ...process.env, PATH: `${dirname(node)}:${process.env.PATH ?? ""}` },
});
// Ctrl-C reaches the task by itself, which ends what it started first; the prompt comes back when it is done.
process.on("SIGINT", () => undefined);
for (const signal of ["SIGTERM", "SIGHUP"]) {
  process.on(signal, () => child.kill(signal));
}
child.on("error", (error) => {
  process.stderr.write(`error: ${error.message}\nhint: delete node_modules and try again.\n`);
  process.exit(1);
});
// A child that a signal ended reports as a shell would, so that Ctrl-C is not taken for a failure of ours.
child.on("close", (code, signal) => process.exit(code ?? 128 + (constants.signals[signal] ?? 0)));

/** Installs the dependencies unless those of this very lock file are there already. */
function install() {
  const stamp = join(root, "node_modules", ".installed");
  const wanted = createHash("sha256")
    .update(readFileSync(join(root, "pnpm-lock.yaml")))
    .update(readFileSync(join(root, "pnpm-workspace.yaml")))
    .digest("hex");
  if (existsSync(stamp) && existsSync(node) && readFileSync(stamp, "utf8") === wanted) {
    return;
  }
  process.stderr.write("Installing the pinned tools into this folder (once)…\n");
  mkdirSync(cache, { recursive: true });
  const { config } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const command = [
    "--yes",
    `pnpm@${config.pnpm}`,
    "install",
    "--frozen-lockfile",
    "--reporter=append-only",
  ];
  const pnpm = spawnSync("npx", [...command, "--store-dir", join(cache, "pnpm")], {
    cwd: root,
    encoding: "utf8",
    shell: process.platform === "win32",
    // Nothing of this lands in the person's home: the caches live in the clone and go with it.
    env: {
      ...process.env,
      npm_config_cache: join(cache, "npm"),
      npm_config_update_notifier: "false",
      XDG_CACHE_HOME: cache,
      XDG_DATA_HOME: cache,
      XDG_STATE_HOME: cache,
      XDG_CONFIG_HOME: join(cache, "config"),
      CI: "true",
    },
  });
  if (pnpm.status !== 0 || !existsSync(node)) {
    process.stderr.write(`${pnpm.stdout ?? ""}${pnpm.stderr ?? ""}`);
    process.stderr.write(
      `error: the dependencies could not be installed${pnpm.error ? ` (${pnpm.error.message})` : ""}.\n` +
        "hint: check the npm registry and proxy settings (npm config list), then run the same command again.\n",
    );
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
}
