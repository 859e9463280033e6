// A program in a terminal of its own, by script(1) of util-linux: what it draws, and the keys that a person presses.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import type { TestContext } from "vitest";
import { eventually } from "./eventually.ts";
import { type ProgramName, type ProgramOptions, programs } from "./programs.ts";
import { skip } from "./skip.ts";

const scriptPath = "/usr/bin/script";

/** Skips where there is no such terminal to be had. */
export function requireTerminal(context: TestContext): void {
  if (process.platform !== "linux" || !existsSync(scriptPath)) {
    skip(context, "there is no script(1) of util-linux");
  }
}

/** 90 cells by 30; whoever opened it awaits `ended`. */
export class TerminalWindow {
  readonly #child: ReturnType<typeof startInTerminal>;
  #drawn = "";
  /** How far a person has read. */
  #read = 0;

  constructor(program: ProgramName, args: readonly string[], options: ProgramOptions) {
    this.#child = startInTerminal(program, args, options);
    this.#child.stdout?.on("data", (chunk) => {
      this.#drawn += String(chunk);
    });
  }

  /** Resolves when the text is drawn behind what was read before. */
  async shows(text: string): Promise<void> {
    await eventually(
      `the screen shows ${text}`,
      () => {
        const at = this.#drawn.indexOf(text, this.#read);
        this.#read = at < 0 ? this.#read : at + text.length;
        return at >= 0;
      },
      20_000,
    );
  }

  press(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** What was drawn, and the exit code of the program. */
  async ended(): Promise<{ readonly exitCode: number | undefined; readonly screen: string }> {
    const { exitCode } = await this.#child;
    return { exitCode, screen: this.#drawn.replaceAll("\r\n", "\n") };
  }
}

function startInTerminal(
  program: ProgramName,
  args: readonly string[],
  { home, env }: ProgramOptions,
) {
  const words = [process.execPath, programs[program], ...args].map((word) => `'${word}'`);
  // Behind it the terminal says whether it was left as it was found.
  const left = `code=$?; stty -a | grep -qw -- -icanon && echo 'left raw'; exit $code`;
  const command = `stty cols 90 rows 30; ${words.join(" ")}; ${left}`;
  return execa(scriptPath, ["-qefc", command, "/dev/null"], {
    cwd: home,
    reject: false,
    extendEnv: false,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: home,
      JITDB_HOME: join(home, ".jitdb"),
      TERM: "xterm",
      NO_COLOR: "1",
      TZ: "UTC",
      LANG: "C.UTF-8",
      ...env,
    },
    stdin: "pipe",
    timeout: 60_000,
    forceKillAfterDelay: 5000,
  });
}
