// What the demo shows: one transcript of several terminals, each line marked with whose terminal it is.

import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import type { ProgramOptions } from "../../test/support/programs.ts";

/** A program that runs with pipes; awaited, it gives its exit code. */
export interface Running extends PromiseLike<{ readonly exitCode?: number | undefined }> {
  readonly stdout: Readable;
  readonly stderr: Readable;
}

const width = 8;
/** The name, a line and the spaces around it. */
const margin = width + 3;
const styles = { reset: "\x1b[0m", bold: "\x1b[1m", dim: "\x1b[2m" };
const colors = ["\x1b[36m", "\x1b[35m", "\x1b[33m", "\x1b[32m"];

/** Writes to stdout; plain text where that is no terminal or NO_COLOR is set. */
export class Screen {
  readonly #isColored = process.stdout.isTTY === true && !process.env["NO_COLOR"];
  readonly #who: string[] = [];

  /** With these options a program writes as to a terminal of the width that is left here. */
  get terminal(): Pick<ProgramOptions, "env" | "isMerged"> {
    const columns = Math.max(60, (process.stdout.columns ?? 120) - margin);
    const colors = this.#isColored ? {} : { NO_COLOR: "1" };
    return { env: { JITDB_FORCE_TTY: String(columns), ...colors }, isMerged: true };
  }

  /** A heading between the steps. */
  title(text: string): void {
    process.stdout.write(`\n${this.#style(styles.bold, text)}\n`);
  }

  /** Words of the demo itself. */
  say(text: string): void {
    process.stdout.write(`${this.#style(styles.dim, text)}\n`);
  }

  /** A command as somebody typed it. */
  command(who: string, command: string): void {
    this.#line(who, this.#style(styles.bold, `$ ${command}`));
  }

  /** Output in somebody's terminal. */
  output(who: string, text: string): void {
    for (const line of text.replace(/\n$/, "").split("\n")) {
      this.#line(who, line);
    }
  }

  /** Shows a child's output as it comes. */
  follow(who: string, child: Running): void {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => this.output(who, line));
    }
  }

  #line(who: string, text: string): void {
    if (!this.#who.includes(who)) {
      this.#who.push(who);
    }
    const color = colors[this.#who.indexOf(who) % colors.length] ?? "";
    process.stdout.write(`${this.#style(color, `${who.padStart(width)} │`)} ${text}\n`);
  }

  #style(style: string, text: string): string {
    return this.#isColored && text !== "" ? `${style}${text}${styles.reset}` : text;
  }
}
