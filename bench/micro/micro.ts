// `npm run bench -- --micro`: parts of the hot path by themselves, so that a change that costs is seen before a whole run shows it.
// What they take is told as a multiple of a yardstick of the same run, SHA-256 of a kilobyte, so that runs can be compared.

import { createHash } from "node:crypto";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Table } from "../table.ts";
import { idleTunnel, type Micro, micros } from "./parts.ts";

export interface MicroResult {
  readonly name: string;
  /** Nanoseconds of one operation; the median of the rounds. */
  readonly nanoseconds: number;
  /** The same in yardsticks. */
  readonly ratio: number;
  /** Of the slowest round to the fastest. */
  readonly spread: number;
}

export interface IdleResult {
  readonly streams: number;
  /** Of the agent's and the gateway's end together, beyond the tunnel without streams. */
  readonly bytesPerStream: number;
}

const rounds = 7;
const roundMs = 150;

const yardstick: Micro = {
  name: "yardstick: SHA-256 of 1 KB",
  prepare() {
    const bytes = new Uint8Array(1024);
    return {
      run(count) {
        for (let index = 0; index < count; index += 1) {
          createHash("sha256").update(bytes).digest();
        }
      },
    };
  },
};

/** @param only part of a name */
export function measureMicros(only: string): MicroResult[] {
  const unit = measure(yardstick);
  const chosen = micros.filter(({ name }) => name.includes(only));
  const results = chosen.map((micro) => ({ micro, times: measure(micro) }));
  const base = median(unit);
  return [{ micro: yardstick, times: unit }, ...results].map(({ micro, times }) => ({
    name: micro.name,
    nanoseconds: median(times),
    ratio: median(times) / base,
    spread: Math.max(...times) / Math.min(...times),
  }));
}

export function measureIdle(counts: readonly number[]): IdleResult[] {
  idleTunnel(100).open();
  setFlagsFromString("--expose-gc");
  const collect: () => void = runInNewContext("gc");
  const used = () => {
    collect();
    collect();
    const { heapUsed, external } = process.memoryUsage();
    return heapUsed + external;
  };
  return counts.map((streams) => {
    // Many tunnels where few streams would drown in the noise.
    const tunnels = Array.from({ length: Math.max(1, Math.floor(1000 / streams)) }, () =>
      idleTunnel(streams),
    );
    const before = used();
    for (const tunnel of tunnels) {
      tunnel.open();
    }
    const after = used();
    for (const tunnel of tunnels) {
      tunnel.close();
    }
    return { streams, bytesPerStream: Math.round((after - before) / streams / tunnels.length) };
  });
}

/** @param earlier results of another run to hold these against */
export function toMicroTable(
  results: readonly MicroResult[],
  earlier: readonly MicroResult[] = [],
): string {
  const table = new Table(["part", "ns", "x yardstick", "spread", "before", "change"]);
  for (const { name, nanoseconds, ratio, spread } of results) {
    const before = earlier.find((other) => other.name === name)?.ratio;
    table.add([
      name,
      nanoseconds.toFixed(0),
      ratio.toFixed(2),
      spread.toFixed(2),
      before?.toFixed(2) ?? "",
      before === undefined ? "" : `${(100 * (ratio / before - 1)).toFixed(0)} %`,
    ]);
  }
  return table.toString();
}

/** Nanoseconds of one operation, of each round. */
function measure(micro: Micro): number[] {
  const { run, close } = micro.prepare();
  try {
    let count = 1;
    // Also warms up what is measured.
    while (timed(run, count) < roundMs) {
      count *= 2;
    }
    return Array.from({ length: rounds }, () => (timed(run, count) * 1e6) / count);
  } finally {
    close?.();
  }
}

function timed(run: (count: number) => void, count: number): number {
  const began = performance.now();
  run(count);
  return performance.now() - began;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
