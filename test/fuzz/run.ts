// Runs targets: case after case, each from the seed and its own number; what fails is made small before it is told.

import { Dice } from "./dice.ts";
import { formatInput, type Input, type Step } from "./input.ts";
import type { Target } from "./target.ts";

/** What making one input small may take. */
const minimising = { runs: 2000, ms: 20_000 } as const;

export interface Finding {
  readonly target: string;
  /** `<seed>:<case>`. */
  readonly seed: string;
  readonly error: Error;
  readonly input: Input;
}

export interface FuzzOptions {
  readonly seed: string;
  /** Number of the first case. */
  readonly from?: number;
  /** Asked before each case, with the number of those that ran. */
  readonly goesOn: (executions: number) => boolean;
  /** Called once for each kind of finding, as soon as its input is small. */
  readonly onFinding?: (finding: Finding) => void;
}

export interface FuzzResult {
  readonly executions: number;
  readonly findings: readonly Finding[];
}

export async function fuzz(target: Target, options: FuzzOptions): Promise<FuzzResult> {
  const findings = new Map<string, Finding>();
  let executions = 0;
  for (let index = options.from ?? 0; options.goesOn(executions); index += 1) {
    const seed = `${options.seed}:${index}`;
    const input = target.make(new Dice(`${target.name}:${seed}`));
    executions += 1;
    const error = await failureOf(target, input);
    if (error !== undefined && !findings.has(kindOf(error))) {
      const small = await minimise(target, input, kindOf(error));
      const found = { target: target.name, seed, error, input: small };
      findings.set(kindOf(error), found);
      options.onFinding?.(found);
    }
  }
  return { executions, findings: [...findings.values()] };
}

/** What does not hold for an input; also an error that nobody caught, and taking too long. */
export async function failureOf(target: Target, input: Input): Promise<Error | undefined> {
  const stray: unknown[] = [];
  const onStray = (error: unknown) => stray.push(error);
  process.on("unhandledRejection", onStray).on("uncaughtException", onStray);
  try {
    const before = process.cpuUsage();
    await target.run(input);
    const { user, system } = process.cpuUsage(before);
    const deadlineMs = target.deadlineMs ?? 1000;
    if ((user + system) / 1000 > deadlineMs) {
      throw new Error(`It took longer than ${deadlineMs} ms.`);
    }
    if (stray.length > 0) {
      throw new Error(`Nobody caught: ${String(stray[0])}`, { cause: stray[0] });
    }
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  } finally {
    process.off("unhandledRejection", onStray).off("uncaughtException", onStray);
  }
}

/** How to run a finding again, and what to keep. */
export function describeFinding({ target, seed, error, input }: Finding): string {
  const [run, index] = seed.split(":");
  return [
    `FINDING in ${target}: ${error.message}`,
    ...(error.name === "Broken" ? [] : [(error.stack ?? "").split("\n").slice(1, 5).join("\n")]),
    `again: npm run fuzz -- --target ${target} --seed ${run} --case ${index}`,
    "input, small:",
    formatInput(input),
  ].join("\n");
}

/** Findings of one kind differ in their values only. */
function kindOf(error: Error): string {
  return error.message.split(":")[0]?.replaceAll(/\d+/g, "N") ?? "";
}

/** Takes steps and bytes away for as long as the same promise is broken. */
async function minimise(target: Target, input: Input, kind: string): Promise<Input> {
  let runs = 0;
  const endsAt = performance.now() + minimising.ms;
  const isOver = () => runs >= minimising.runs || performance.now() > endsAt;
  const fails = async (candidate: Input) => {
    if (isOver()) {
      return false;
    }
    runs += 1;
    const error = await failureOf(target, candidate);
    return error !== undefined && kindOf(error) === kind;
  };
  const merged = mergeSteps(input);
  let small = (await fails(merged)) ? merged : input;
  for (let size = 0; size !== sizeOf(small) && !isOver(); ) {
    size = sizeOf(small);
    small = await shrink(small, fails);
    for (const [at, one] of small.entries()) {
      const bytes = await shrink([...one.bytes], async (candidate) => {
        const changed = small.with(at, { ...one, bytes: Uint8Array.from(candidate) });
        return fails(changed);
      });
      small = small.with(at, { ...one, bytes: Uint8Array.from(bytes) });
    }
  }
  return small;
}

/** A list with as many runs of items left out as may be: halves first, single ones last. */
async function shrink<T>(
  items: readonly T[],
  isEnough: (fewer: readonly T[]) => Promise<boolean>,
): Promise<readonly T[]> {
  let kept = items;
  for (
    let size = Math.ceil(kept.length / 2);
    size >= 1;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (let at = 0; at < kept.length; ) {
      const fewer = [...kept.slice(0, at), ...kept.slice(at + size)];
      if (await isEnough(fewer)) {
        kept = fewer;
      } else {
        at += size;
      }
    }
  }
  return kept;
}

/** Steps of the same kind that follow each other, as one. */
function mergeSteps(input: Input): Input {
  const merged: Step[] = [];
  for (const one of input) {
    const last = merged.at(-1);
    if (last?.kind === one.kind) {
      merged[merged.length - 1] = { ...last, bytes: Buffer.concat([last.bytes, one.bytes]) };
    } else {
      merged.push(one);
    }
  }
  return merged;
}

function sizeOf(input: Input): number {
  return input.reduce((sum, { bytes }) => sum + 1 + bytes.length, 0);
}
