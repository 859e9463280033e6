// The terminal as a value: data on stdout, talk on stderr, and whether a person sits there to be asked.
// The only user of chalk, ora and @inquirer/prompts.

import type { JitdbError } from "@jitdb/shared/errors";
import { Chalk, type ChalkInstance } from "chalk";
import { type Keyboard, openKeyboard } from "./keyboard.ts";
import type { Prompts } from "./prompts.ts";
import { type Column, formatPlain, formatTable } from "./table.ts";
import { clean, toJson } from "./text.ts";

/** Where text goes. */
export interface OutputStream {
  readonly isTerminal: boolean;
  /** Cells a line; asked anew each time, since windows are resized. */
  readonly columns: number;
  write(text: string): void;
}

/** Shows that something is awaited: turning in a terminal, one line elsewhere. */
export interface Spinner {
  update(text: string): void;
  /** Takes the spinner off the screen. */
  stop(): void;
}

/** What a terminal is made of; tests bring their own. */
export interface TerminalParts {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  /** Whether stdin is a terminal. */
  readonly inputIsTerminal: boolean;
  readonly color: boolean;
  readonly prompts: () => Promise<Prompts>;
  readonly spin: (text: string) => Promise<Spinner>;
  /** Calls back at the next Enter until the returned function is called. */
  readonly onEnter: (callback: () => void) => () => void;
  readonly openKeyboard: () => Keyboard;
}

/** What the environment says about the terminal. */
export interface TerminalSettings {
  readonly color: boolean;
  readonly forcedColumns: number | undefined;
}

export class Terminal {
  /** Whether questions can be asked: somebody types, and sees the talk. */
  readonly interactive: boolean;
  /** Styles for stderr; plain where it is no terminal or colours are off. */
  readonly style: ChalkInstance;
  readonly #parts: TerminalParts;

  constructor(parts: TerminalParts) {
    this.#parts = parts;
    this.interactive = parts.inputIsTerminal && parts.stderr.isTerminal;
    this.style = new Chalk({ level: parts.color && parts.stderr.isTerminal ? 1 : 0 });
  }

  /**
   * The terminal of this process. With `forcedColumns` it looks as if it had so many, whatever it is; then nobody is asked
   * and nothing turns, so that a transcript holds whole lines.
   */
  static ofProcess({ color, forcedColumns }: TerminalSettings): Terminal {
    const isForced = forcedColumns !== undefined;
    const stdout = streamOf(process.stdout, forcedColumns);
    const stderr = streamOf(process.stderr, forcedColumns);
    return new Terminal({
      stdout,
      stderr,
      inputIsTerminal: process.stdin.isTTY === true && !isForced,
      color,
      prompts: async () => (await import("./prompts.ts")).inquirerPrompts,
      spin: isForced ? (text) => sayOnce(stderr, text) : spinWithOra,
      onEnter: onEnterOfProcess,
      openKeyboard: () =>
        // As if the terminal had sent the signal; whoever opens a keyboard listens for it.
        openKeyboard(process.stdin, () => process.emit("SIGINT", "SIGINT")),
    });
  }

  /** Whether the data goes to a person's screen. */
  get showsData(): boolean {
    return this.#parts.stdout.isTerminal;
  }

  /** Cells a line of the data's screen. */
  get columns(): number {
    return this.#parts.stdout.columns;
  }

  /** Cells a line of the talk's screen; undefined where it is none. */
  get talkColumns(): number | undefined {
    return this.#parts.stderr.isTerminal ? this.#parts.stderr.columns : undefined;
  }

  /** One line of data. */
  out(text: string): void {
    this.#parts.stdout.write(`${withoutControls(text)}\n`);
  }

  /** One line (or several) of talk. */
  say(text: string): void {
    this.#parts.stderr.write(`${withoutControls(text)}\n`);
  }

  /** One JSON document as data: indented for people, on one line for programs. */
  json(value: unknown): void {
    this.#parts.stdout.write(`${toJson(value, this.showsData ? 2 : 0)}\n`);
  }

  /** One JSON document of several, on one line each. */
  jsonLine(value: unknown): void {
    this.#parts.stdout.write(`${toJson(value, 0)}\n`);
  }

  /** Text of data as a heading: bold on a screen that shows colours. */
  heading(text: string): string {
    const level = this.#parts.color && this.showsData ? 1 : 0;
    return new Chalk({ level }).bold(text);
  }

  /** Rows as data: an aligned table for people, tab-separated lines elsewhere. */
  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): void {
    const lines = this.showsData
      ? formatTable(columns, rows, this.columns, (text) => this.heading(text))
      : formatPlain(columns, rows);
    for (const text of lines) {
      this.out(text);
    }
  }

  /** An error with its hint, on stderr: two lines for people, with `--json` one line in the API's form. */
  error(error: JitdbError, options: { readonly json: boolean }): void {
    const { code, message, hint } = error;
    if (options.json) {
      this.#parts.stderr.write(`${toJson({ error: { code, message, hint } }, 0)}\n`);
      return;
    }
    this.say(`${this.style.red("error:")} ${clean(message)}`);
    this.say(`${this.style.cyan("hint:")} ${clean(hint)}`);
  }

  /** Where stderr is no terminal the text is said once, and updates are silent. */
  async spinner(text: string): Promise<Spinner> {
    if (!this.#parts.stderr.isTerminal) {
      return sayOnce(this.#parts.stderr, withoutControls(text));
    }
    const spinner = await this.#parts.spin(withoutControls(text));
    return {
      update: (next) => spinner.update(withoutControls(next)),
      stop: () => spinner.stop(),
    };
  }

  /** Questions; ask only where `interactive`. */
  prompts(): Promise<Prompts> {
    return this.#parts.prompts();
  }

  /** Keys one by one, to be closed; only where `interactive`, and behind `Context.interruption`, which Ctrl-C aborts. */
  openKeyboard(): Keyboard {
    return this.#parts.openKeyboard();
  }

  /** Rings the bell of a terminal; elsewhere nothing happens. */
  ring(): void {
    if (this.#parts.stderr.isTerminal) {
      this.#parts.stderr.write(bell);
    }
  }

  /** Calls back at the next Enter; the returned function stops listening. Does nothing where nobody types. */
  onEnter(callback: () => void): () => void {
    return this.interactive ? this.#parts.onEnter(callback) : () => undefined;
  }
}

const bell = "\u0007";
const escapeCharacter = String.fromCharCode(0x1b);

/** The last gate: whatever a caller forgot to clean, only line ends, tabs and colours pass. */
function withoutControls(text: string): string {
  return text.replaceAll(/\p{Cc}(?:\[\d{1,2}m)?/gu, (match) => {
    const passes = match === "\n" || match === "\t" || match.startsWith(`${escapeCharacter}[`);
    return passes ? match : `\ufffd${match.slice(1)}`;
  });
}

/** A spinner that does not turn. */
async function sayOnce(stderr: OutputStream, text: string): Promise<Spinner> {
  stderr.write(`${text}\n`);
  return { update: () => undefined, stop: () => undefined };
}

function streamOf(stream: NodeJS.WriteStream, forcedColumns: number | undefined): OutputStream {
  return {
    isTerminal: stream.isTTY === true || forcedColumns !== undefined,
    get columns() {
      return forcedColumns ?? stream.columns ?? 80;
    },
    write: (text) => {
      stream.write(text);
    },
  };
}

async function spinWithOra(text: string): Promise<Spinner> {
  const { default: ora } = await import("ora");
  // Ora would take stdin away from whoever waits for Enter.
  const spinner = ora({ text, stream: process.stderr, discardStdin: false }).start();
  return {
    update: (next) => {
      spinner.text = next;
    },
    stop: () => {
      spinner.stop();
    },
  };
}

function onEnterOfProcess(callback: () => void): () => void {
  const listen = (chunk: Buffer) => {
    if (chunk.includes("\n")) {
      callback();
    }
  };
  process.stdin.on("data", listen);
  return () => {
    process.stdin.off("data", listen);
    // A flowing stdin would keep the process alive.
    process.stdin.pause();
  };
}
