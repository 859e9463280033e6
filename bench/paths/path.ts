// A way from a client program to the database.

import { readFileSync } from "node:fs";

export interface Path {
  readonly name: "direct" | "ssh" | "pgbouncer" | "bare" | "unrecorded" | "jitdb";
  /** libpq's variables. */
  readonly environment: Readonly<Record<string, string>>;
  /** Processes that carry the bytes, but for the client and the database. */
  pids(): readonly number[];
  close(): Promise<void>;
}

/** Clock ticks a second of /proc (proc(5): sysconf(_SC_CLK_TCK), 100 on every Linux that Node runs on). */
const ticks = 100;

/** Seconds of processor time that a process has used, in user and system mode; 0 once it is gone. */
export function cpuSeconds(pid: number): number {
  try {
    const [, rest = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ");
    const fields = rest.split(" ");
    return (Number(fields[11]) + Number(fields[12])) / ticks;
  } catch {
    return 0;
  }
}
