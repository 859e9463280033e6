// The two programs as a person starts them: the built files, the project's own Node, a home of their own.

import { join } from "node:path";
import { execa } from "execa";

const root = join(import.meta.dirname, "..", "..");

/** Compiled code of the programs, for all that the tests start: a start of the server takes two thirds of the time. */
export const compileCache = join(root, ".cache", "node-compile");

/** The built entry of each program. */
export const programs = {
  jitdb: join(root, "packages", "cli", "dist", "main.js"),
  "jitdb-server": join(root, "packages", "server", "dist", "main.js"),
} as const;

export type ProgramName = keyof typeof programs;

export interface ProgramOptions {
  readonly home: string;
  /** Another build of the program. */
  readonly entry?: string | undefined;
  readonly cwd?: string;
  readonly input?: string;
  /** Both streams as one, stdout, in the order of a terminal. */
  readonly isMerged?: true;
  /** Beside the few variables that every program gets. */
  readonly env?: Readonly<Record<string, string>>;
}

/** A running program with pipes. */
export type Child = ReturnType<typeof startProgram>;

/** What a program left when it ended. */
export interface Ended {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Replaces itself by the command behind it. */
const mergingShell = ["sh", "-c", 'exec "$@" 2>&1', "sh"];

/**
 * Starts a program with pipes and an environment of its own: nothing of the machine's proxies, keychains or configuration.
 * The caller ends it; a child of a dead test process is ended, too.
 */
export function startProgram(
  program: ProgramName,
  args: readonly string[],
  options: ProgramOptions,
) {
  const command = [process.execPath, options.entry ?? programs[program], ...args];
  const [file = "", ...rest] = options.isMerged ? [...mergingShell, ...command] : command;
  return execa(file, rest, {
    cwd: options.cwd ?? options.home,
    reject: false,
    extendEnv: false,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: options.home,
      JITDB_HOME: join(options.home, ".jitdb"),
      TZ: "UTC",
      LANG: "C.UTF-8",
      NODE_COMPILE_CACHE: compileCache,
      ...options.env,
    },
    ...(options.input === undefined ? {} : { input: options.input }),
    forceKillAfterDelay: 5000,
  });
}

/** Runs a program to its end. */
export async function runProgram(
  program: ProgramName,
  args: readonly string[],
  options: ProgramOptions,
): Promise<Ended> {
  const child = startProgram(program, args, { input: "", ...options });
  const { exitCode, stdout, stderr, signal } = await child;
  if (exitCode === undefined) {
    throw new Error(`${program} ${args.join(" ")} ended by ${signal ?? "an error"}: ${stderr}`);
  }
  return { exitCode, stdout: String(stdout), stderr: String(stderr) };
}

/** Waits until what a child has written on a stream matches, and gives the match. */
export async function waitForOutput(
  child: Pick<Child, "stdout" | "stderr">,
  stream: "stdout" | "stderr",
  pattern: RegExp,
  deadlineMs = 20_000,
): Promise<RegExpExecArray> {
  let text = "";
  const readable = child[stream];
  if (readable === null || readable === undefined) {
    throw new Error(`The child's ${stream} is not a pipe.`);
  }
  return await new Promise((resolve, reject) => {
    const finish = (act: () => void) => {
      clearTimeout(timer);
      readable.off("data", read);
      readable.off("end", ended);
      // The pipe must go on flowing, or the child would block on it.
      readable.resume();
      act();
    };
    const read = (chunk: unknown) => {
      text += String(chunk);
      const match = pattern.exec(text);
      if (match !== null) {
        finish(() => resolve(match));
      }
    };
    const fail = (why: string) =>
      finish(() => reject(new Error(`${why} before ${String(pattern)} on ${stream}: ${text}`)));
    const ended = () => fail("The child ended");
    const timer = setTimeout(() => fail(`${deadlineMs} ms passed`), deadlineMs);
    readable.on("data", read);
    readable.on("end", ended);
  });
}
