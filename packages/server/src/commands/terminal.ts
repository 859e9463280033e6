// The terminal as a value: data on stdout, talk on stderr, and whether a person is there to read it.

import { text } from "node:stream/consumers";
import { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";

export interface Terminal {
  /** Whether stderr is a person's. */
  readonly interactive: boolean;
  /** A line of data. */
  print(line: string): void;
  /** A line for the person. */
  say(line: string): void;
  /** The first line of stdin. @throws JitdbError `usage.invalid` where there is none */
  readSecret(): Promise<Secret>;
}

/** The process's own. */
export function processTerminal(): Terminal {
  return {
    interactive: process.stderr.isTTY === true,
    print: (line) => void process.stdout.write(`${line}\n`),
    say: (line) => void process.stderr.write(`${line}\n`),
    async readSecret() {
      const [line = ""] = (await text(process.stdin)).split(/\r?\n/);
      if (line === "") {
        throw new JitdbError("usage.invalid", "There is no password on stdin.", {
          hint: "Pipe it in, followed by a newline.",
        });
      }
      return new Secret(line);
    },
  };
}
