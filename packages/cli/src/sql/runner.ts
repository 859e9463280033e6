// Runs texts on a client and shows what comes: results through a format to the output, all else in words on stderr.

import type { ErrorFields } from "@jitdb/shared/postgres/backend";
import type { Column } from "@jitdb/shared/postgres/rows";
import type { Terminal } from "../terminal.ts";
import { line } from "../text.ts";
import type { QueryEvents, SqlClient } from "./client.ts";
import type { ResultFormat, Row } from "./format.ts";
import type { Output } from "./output.ts";
import { sayError, sayNotice } from "./report.ts";

export interface RunnerOptions {
  readonly client: SqlClient;
  readonly format: ResultFormat;
  readonly output: Output;
  readonly terminal: Terminal;
}

export class Runner {
  readonly #options: RunnerOptions;
  #isRunning = false;
  #isGivenUp = false;

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Runs the statements of a text; false if one failed. @throws JitdbError when the session has ended */
  async run(text: string): Promise<boolean> {
    const { client } = this.#options;
    this.#isRunning = true;
    try {
      return await client.run(text, new Shown(this.#options, text, () => this.#giveUp()));
    } finally {
      this.#isRunning = false;
    }
  }

  /** Breaks off what runs; its error is shown like any other. */
  async cancel(): Promise<void> {
    if (this.#isRunning) {
      await this.#options.client.cancel();
    }
  }

  /** The reader of the results has gone: the database need not go on. */
  #giveUp(): void {
    if (!this.#isGivenUp) {
      this.#isGivenUp = true;
      this.cancel().catch(() => {
        // It goes on for nothing then, until the session ends.
      });
    }
  }
}

class Shown implements QueryEvents {
  readonly #options: RunnerOptions;
  readonly #text: string;
  readonly #onGone: () => void;
  #isInResult = false;

  constructor(options: RunnerOptions, text: string, onGone: () => void) {
    this.#options = options;
    this.#text = text;
    this.#onGone = onGone;
  }

  columns(columns: readonly Column[]): void {
    this.#isInResult = true;
    this.#push(this.#options.format.begin(columns));
  }

  row(row: Row): void {
    this.#push(this.#options.format.row(row));
  }

  complete(tag: string): void {
    if (this.#isInResult) {
      this.#isInResult = false;
      this.#push(this.#options.format.end());
    } else {
      this.#options.terminal.say(line`${tag}`);
    }
  }

  copyData(bytes: Uint8Array): void {
    this.#options.output.push(bytes);
  }

  error(fields: ErrorFields): void {
    this.#isInResult = false;
    if (!this.#options.output.isGone) {
      sayError(this.#options.terminal, fields, this.#text);
    }
  }

  notice(fields: ErrorFields): void {
    sayNotice(this.#options.terminal, fields);
  }

  async flush(): Promise<void> {
    const { output } = this.#options;
    await output.flush();
    if (output.isGone) {
      this.#onGone();
    }
  }

  #push(text: string): void {
    this.#options.output.push(text);
  }
}
