// What a target of the fuzzing is: where its inputs come from, and what must hold for every one of them.

import { isDeepStrictEqual } from "node:util";
import { JitdbError } from "@jitdb/shared/errors";
import type { Dice } from "./dice.ts";
import { formatInput, type Input, type Step } from "./input.ts";

export interface Target {
  readonly name: string;
  /** What must hold, in one sentence. */
  readonly about: string;
  /** Milliseconds of the processor's time that one input may take; a thousand where absent. */
  readonly deadlineMs?: number;
  /** Makes an input; the same dice make the same one. */
  make(dice: Dice): Input;
  /** Runs it, and throws where something does not hold. Any input is taken, those that `make` never makes too. */
  run(input: Input): void | Promise<void>;
  /** Ends what the runs share. */
  close?(): Promise<void>;
}

/** What was promised and does not hold. */
export class Broken extends Error {
  override readonly name = "Broken";
}

export function holds(fact: boolean, promise: string, ...details: readonly unknown[]): void {
  if (!fact) {
    const shown = details.map((detail) => show(detail)).join(" | ");
    throw new Broken(shown === "" ? promise : `${promise}: ${shown}`);
  }
}

export function same(found: unknown, expected: unknown, promise: string): void {
  holds(isDeepStrictEqual(found, expected), promise, found, expected);
}

/** The code of the error that an action ends in, `undefined` if it does not; errors that are not ours are findings. */
export function codeOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return codeOfError(error);
  }
}

/** The code of one of our errors; any other is a finding, and so is one that only says that we do not know. */
export function codeOfError(error: unknown): string {
  if (error instanceof JitdbError && error.code !== "internal") {
    return error.code;
  }
  throw error;
}

function show(detail: unknown): string {
  if (detail instanceof Uint8Array) {
    return formatInput([{ kind: "bytes", bytes: detail.subarray(0, 2000) }]);
  }
  const text = typeof detail === "string" ? detail : JSON.stringify(detail, showBytes);
  return text?.slice(0, 2000) ?? "undefined";
}

function showBytes(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? Buffer.from(value).toString("latin1") : value;
}

/** Steps of a kind, one for each of these bytes. */
export function stepsOf(kind: string, pieces: readonly Uint8Array[]): Step[] {
  return pieces.map((bytes) => ({ kind, bytes }));
}
