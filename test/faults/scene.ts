// One row at work: a home, an environment, a command in a shell, and the names that stand for what differs from run to run.

import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import { programs } from "../support/programs.ts";

/** What a command left, normalised. */
export interface Outcome {
  readonly stdout: string;
  readonly stderr: string;
  readonly exit: number;
}

type Cleanup = () => unknown;

export class Scene {
  /** The command's HOME and working folder. */
  home: string;
  /** Variables of the command beside HOME, JITDB_HOME and PATH. `undefined` takes one away. */
  readonly env: Record<string, string | undefined> = {};
  readonly #folder: string;
  readonly #names = new Map<string, string>();
  readonly #cleanups: Cleanup[] = [];
  #running: ReturnType<typeof startShell> | undefined;
  #seen = { stdout: "", stderr: "" };

  private constructor(folder: string) {
    this.#folder = folder;
    this.home = join(folder, "home");
  }

  /** With an empty home, and both programs on the PATH. */
  static async open(): Promise<Scene> {
    const scene = new Scene(await mkdtemp(join(tmpdir(), "jitdb-fault-")));
    scene.after(() => rm(scene.#folder, { recursive: true, force: true }));
    await execa("mkdir", ["-m", "700", join(scene.#folder, "bin"), scene.home]);
    for (const [name, main] of Object.entries(programs)) {
      const file = join(scene.#folder, "bin", name);
      await writeFile(file, `#!/bin/sh\nexec '${process.execPath}' '${main}' "$@"\n`);
      await chmod(file, 0o755);
    }
    return scene;
  }

  /** Folder with the programs and nothing else. */
  get programsFolder(): string {
    return join(this.#folder, "bin");
  }

  /** From now on `<name>` stands for the value, in the command and in what it prints. */
  name(name: string, value: string | number): void {
    this.#names.set(`<${name}>`, String(value));
  }

  /** Registers what has to be undone; the last first. */
  after(cleanup: Cleanup): void {
    this.#cleanups.push(cleanup);
  }

  /** Runs a command to its end, `meanwhile` beside it; without one nobody types anything. */
  async run(command: string, meanwhile?: () => unknown): Promise<Outcome> {
    this.name("home", this.home);
    const shell = startShell(this.#fillIn(command), {
      cwd: this.home,
      env: {
        PATH: `${this.programsFolder}:${process.env["PATH"]}`,
        HOME: this.home,
        JITDB_HOME: join(this.home, ".jitdb"),
        TZ: "UTC",
        LANG: "C.UTF-8",
        ...this.env,
      },
    });
    this.#running = shell;
    if (meanwhile === undefined) {
      shell.stdin?.end();
    }
    for (const stream of ["stdout", "stderr"] as const) {
      shell[stream]?.on("data", (chunk: unknown) => {
        this.#seen[stream] += String(chunk);
      });
    }
    const [{ exitCode, stdout, stderr }] = await Promise.all([shell, meanwhile?.()]);
    return {
      stdout: this.normalise(String(stdout)),
      stderr: this.normalise(String(stderr)),
      exit: exitCode ?? -1,
    };
  }

  /** Resolves with the match as soon as the running command has printed it. The row's deadline is the deadline. */
  async printed(stream: "stdout" | "stderr", pattern: RegExp): Promise<RegExpExecArray> {
    const shell = this.#running;
    for (;;) {
      const match = pattern.exec(this.#seen[stream]);
      if (match !== null) {
        return match;
      }
      await new Promise<void>((resolve, reject) => {
        shell?.[stream]?.once("data", () => resolve());
        shell?.[stream]?.once("end", () => reject(new Error(`No ${String(pattern)}.`)));
      });
    }
  }

  /** Types into the running command. */
  type(text: string): void {
    this.#running?.stdin?.write(text);
  }

  /** Closes the running command's stdin. */
  typeEnd(): void {
    this.#running?.stdin?.end();
  }

  /** Presses Ctrl-C. */
  interrupt(): void {
    signalGroup(this.#running?.pid, "SIGINT");
  }

  async close(): Promise<void> {
    signalGroup(this.#running?.pid, "SIGKILL");
    await this.#running;
    for (const cleanup of this.#cleanups.reverse()) {
      await cleanup();
    }
  }

  /** The one place where values that differ from run to run get their names. */
  normalise(text: string): string {
    const longestFirst = [...this.#names].sort(([, a], [, b]) => b.length - a.length);
    const named = longestFirst.reduce((all, [name, value]) => all.replaceAll(value, name), text);
    return (
      named
        // The server's log on its console is not what this is about.
        .replaceAll(/^\{"level":.*\n?/gm, "")
        .replaceAll(/\b(?:req|grt|ses)_[a-z0-9]+/g, "<id>")
        // What the person had before is a matter of the rows that ran before.
        .replaceAll(/^(?:before|unusual): .*\n/gm, "")
        .replaceAll(/^device: \S+ \(\w+\)/gm, "device: <device>")
        .replaceAll(/(?:-- )?(?<![\w-])[\w-]{43}(?![\w-])/g, "<device>")
        .replaceAll(/\b[A-Z]{4}-[A-Z]{4}\b/g, "<code>")
        .replaceAll(/\bjit_[a-z0-9]+_[a-z0-9]+_[a-z0-9]+/g, "<user>")
        .replaceAll(/127\.0\.0\.1:\d+/g, "127.0.0.1:<port>")
        .replaceAll(/\b([Pp]ort[ =])\d{4,5}/g, "$1<port>")
        .replaceAll(/--after \d{13}-/g, "--after <time>-")
        .replaceAll(/\bown-\w{6}\b/g, "own-<id>")
        .replaceAll(/-[0-9a-f]{8}\.pgpass/g, "-<id>.pgpass")
        .replaceAll(/\bprocess \d+ on \S+,/g, "process <pid> on <host>,")
        .replaceAll(/\bprocess \d+/g, "process <pid>")
        .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>")
        .replaceAll(/\buntil \d\d:\d\d/g, "until <time>")
        .replaceAll(/\b(?:\d+[dhms])+ left/g, "<time> left")
        .replaceAll(/\bafter \d+\.\d s/g, "after <time>")
        .trimEnd()
    );
  }

  #fillIn(command: string): string {
    return command.replaceAll(/<[a-z ]+>/g, (name) => {
      const value = this.#names.get(name);
      if (value === undefined) {
        throw new Error(`Nothing was arranged that ${name} could stand for.`);
      }
      return value;
    });
  }
}

/** In a process group of its own, so that all of it can be ended; the command in the shell's place, so that its exit code counts. */
function startShell(
  command: string,
  options: { cwd: string; env: Record<string, string | undefined> },
) {
  return execa("/bin/sh", ["-c", `exec /usr/bin/env ${command}`], {
    ...options,
    extendEnv: false,
    detached: true,
    reject: false,
    stdin: "pipe",
  });
}

function signalGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    process.kill(-(pid ?? Number.NaN), signal);
  } catch {
    // It has ended already, as it should have.
  }
}
