// The captures: sessions of real programs with real servers, from behind the login on, as `capture.ts` recorded them.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Dice } from "./dice.ts";
import { bytesOf, type Input, parseInput } from "./input.ts";
import { splitMessages } from "./mutate.ts";

export const corpusFolder = join(import.meta.dirname, "corpus");

/** One session: what both sides sent, in the order in which it passed. */
export interface Capture {
  readonly name: string;
  readonly input: Input;
  readonly startup: Uint8Array;
  /** Messages behind the login. */
  readonly client: readonly Uint8Array[];
  readonly server: readonly Uint8Array[];
}

export const captures: readonly Capture[] = readdirSync(corpusFolder)
  .filter((name) => name.endsWith(".txt"))
  .sort()
  .map((name) => {
    const input = parseInput(readFileSync(join(corpusFolder, name), "utf8"));
    return {
      name: name.replace(".txt", ""),
      input,
      startup: bytesOf(input, "startup"),
      client: splitMessages(bytesOf(input, "client")),
      server: splitMessages(bytesOf(input, "server")),
    };
  });

/** A run of messages out of a capture, short enough to be changed and understood. */
export function excerpt(dice: Dice, side: "client" | "server"): Uint8Array[] {
  const messages = dice.pick(captures)[side];
  const start = dice.oneIn(2) ? 0 : dice.below(messages.length);
  return messages.slice(start, start + dice.between(1, 30));
}
