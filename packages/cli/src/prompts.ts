// Questions to the person at the terminal, through @inquirer/prompts; asked on stderr, since stdout is data.

import { input, select } from "@inquirer/prompts";
import { JitdbError } from "@jitdb/shared/errors";

export interface Choice {
  /** What the answer is. */
  readonly value: string;
  /** What the person reads; clean text. */
  readonly label: string;
}

/** The questions that commands ask. Each throws `local.interrupted` when the person presses Ctrl-C. */
export interface Prompts {
  select(question: string, choices: readonly Choice[]): Promise<string>;
  /** `check` gives what is wrong with an answer, or undefined. */
  input(question: string, options: InputOptions): Promise<string>;
}

export interface InputOptions {
  readonly default?: string;
  readonly check: (answer: string) => string | undefined;
}

const streams = { output: process.stderr };

export const inquirerPrompts: Prompts = {
  select: (question, choices) =>
    asked(
      select(
        {
          message: question,
          choices: choices.map(({ value, label }) => ({ value, name: label })),
        },
        streams,
      ),
    ),
  input: (question, options) =>
    asked(
      input(
        {
          message: question,
          ...(options.default === undefined ? {} : { default: options.default }),
          validate: (answer) => options.check(answer) ?? true,
        },
        streams,
      ),
    ),
};

async function asked<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (cause) {
    if (cause instanceof Error && cause.name === "ExitPromptError") {
      throw interrupted(cause);
    }
    throw cause;
  }
}

function interrupted(cause: Error): JitdbError {
  return new JitdbError("local.interrupted", "Interrupted.", { cause });
}
