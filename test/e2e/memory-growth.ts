// How much memory agent and server take while something runs.

import { readFile } from "node:fs/promises";
import type { Company, Door } from "./company.ts";

/** Bytes. */
export interface Growth {
  readonly agent: number;
  readonly server: number;
}

/** The most that agent and server hold while something runs, beyond what they held before. */
export async function memoryGrowth(
  { installation }: Company,
  door: Door,
  work: () => Promise<unknown>,
): Promise<Growth> {
  const pids = { agent: door.child.pid, server: installation.serverPid };
  const before = {
    agent: await residentBytes(pids.agent),
    server: await residentBytes(pids.server),
  };
  const most = { ...before };
  const state = { isOver: false };
  const sampling = (async () => {
    while (!state.isOver) {
      most.agent = Math.max(most.agent, await residentBytes(pids.agent));
      most.server = Math.max(most.server, await residentBytes(pids.server));
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  })();
  try {
    await work();
  } finally {
    state.isOver = true;
    await sampling;
  }
  return { agent: most.agent - before.agent, server: most.server - before.server };
}

async function residentBytes(pid: number | undefined): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}
