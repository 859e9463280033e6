// The prompt of `jitdb sql` on a terminal: lines until a semicolon, a history in memory alone, Ctrl-C for what runs.

import { createInterface, type Interface } from "node:readline";
import type { Terminal } from "../terminal.ts";
import { clean } from "../text.ts";
import type { SqlClient } from "./client.ts";
import type { Runner } from "./runner.ts";
import { StatementSplitter } from "./statements.ts";

export interface PromptPorts {
  readonly client: SqlClient;
  readonly runner: Runner;
  readonly terminal: Terminal;
  /** Name of the database, in front of the prompt's sign. */
  readonly name: string;
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
}

const marks = { idle: "", transaction: "*", failed: "!" } as const;

/** Reads and runs statements until `\q`, Ctrl-D, or the end of the session, which it throws. */
export async function runPrompt(ports: PromptPorts): Promise<void> {
  const { client, runner, terminal, input, output } = ports;
  const reader = createInterface({ input, output, terminal: true, historySize: 1000 });
  const splitter = new StatementSplitter();
  const ask = () => {
    const sign = splitter.isInside ? "-" : "=";
    reader.setPrompt(`${clean(ports.name)}${sign}${marks[client.transaction]}> `);
    reader.prompt();
  };
  reader.on("SIGINT", () => {
    if (runner.isRunning) {
      runner.cancel().catch(() => terminal.say("The cancel request did not get through."));
    } else {
      splitter.finish();
      reader.write(null, { ctrl: true, name: "u" });
      output.write("\n");
      ask();
    }
  });
  try {
    ask();
    for await (const typed of linesOf(reader)) {
      if (!splitter.isInside && /^\s*(\\q|exit|quit)\s*;?\s*$/i.test(typed)) {
        return;
      }
      if (!splitter.isInside && typed.trimStart().startsWith("\\")) {
        terminal.say("Commands of psql work in `jitdb psql` only; here there is \\q.");
      } else {
        for (const statement of splitter.push(typed)) {
          await runner.run(statement);
        }
      }
      ask();
    }
    output.write("\n");
  } finally {
    reader.close();
  }
}

/** Lines one at a time; those that are typed while a statement runs wait. */
async function* linesOf(reader: Interface): AsyncGenerator<string> {
  const lines: string[] = [];
  const state: { isClosed: boolean; wake?: () => void } = { isClosed: false };
  reader.on("line", (typed) => {
    lines.push(typed);
    state.wake?.();
  });
  reader.on("close", () => {
    state.isClosed = true;
    state.wake?.();
  });
  for (;;) {
    const typed = lines.shift();
    if (typed !== undefined) {
      yield typed;
    } else if (state.isClosed) {
      return;
    } else {
      await new Promise<void>((resolve) => {
        state.wake = resolve;
      });
    }
  }
}
