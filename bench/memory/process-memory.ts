// What a process keeps in memory, as the kernel counts it.

import { readFileSync } from "node:fs";

/** In KB. */
export interface ProcessMemory {
  /** All that is resident: with the pages of Node itself, which all its processes share. */
  readonly resident: number;
  /** The same, with shared pages divided among those that have them. */
  readonly proportional: number;
}

/** Source: proc_pid_smaps_rollup(5). */
export function memoryOf(pid: number): ProcessMemory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const kilobytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(rollup)?.[1]);
  return { resident: kilobytes("Rss"), proportional: kilobytes("Pss") };
}
