// A lock between processes of one user that a crashed holder never blocks.
//
// Each contender makes a file of its own and then looks around: it holds the lock if it sees no other live file. Of two
// contenders at least one made its file before the other looked, so never do both hold. Names are never used twice,
// which makes it safe for anybody to remove a dead file.

import { randomBytes } from "node:crypto";
import { readdir, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { JitdbError } from "@jitdb/shared/errors";
import { openPrivateFolder } from "./private-files.ts";

/** Limits of the lock. */
export const lockLimits = {
  /** A holder that is older has hung or its process id was given to another program; longer than any locked work may take. */
  maxHoldMs: 90_000,
  /** How long to wait for others before giving up. */
  maxWaitMs: 100_000,
} as const;

const host = encodeURIComponent(hostname());

/**
 * Does `work` while no other process holds the lock of this folder.
 * @throws JitdbError `local.storage` when others hold it for too long, and what `work` throws.
 */
export async function withLock<T>(folder: string, work: () => Promise<T>): Promise<T> {
  await openPrivateFolder(folder);
  const own = `${process.pid}.${randomBytes(8).toString("hex")}.${host}`;
  await acquire(folder, own);
  try {
    return await work();
  } finally {
    await rm(join(folder, own), { force: true });
  }
}

async function acquire(folder: string, own: string): Promise<void> {
  const giveUpAt = performance.now() + lockLimits.maxWaitMs;
  for (;;) {
    await writeFile(join(folder, own), "", { flag: "wx", mode: 0o600 });
    if (!(await othersAreLive(folder, own))) {
      return;
    }
    await rm(join(folder, own), { force: true });
    if (performance.now() > giveUpAt) {
      throw new JitdbError("local.storage", "Another jitdb process is busy with the logins.", {
        hint: "Look for a jitdb process that hangs and end it.",
      });
    }
    // Random, so that two that step back for each other do not meet again for ever.
    await wait(10 + Math.random() * 40);
  }
}

async function othersAreLive(folder: string, own: string): Promise<boolean> {
  for (const name of await readdir(folder)) {
    if (name === own) {
      continue;
    }
    if (await isLive(folder, name)) {
      return true;
    }
    await rm(join(folder, name), { force: true });
  }
  return false;
}

async function isLive(folder: string, name: string): Promise<boolean> {
  const [pid = "", , ...holderHost] = name.split(".");
  const found = await stat(join(folder, name)).catch(() => undefined);
  if (found === undefined || Date.now() - found.mtimeMs > lockLimits.maxHoldMs) {
    return false;
  }
  // A home folder may be shared between machines, and only its own machine can ask for a process.
  return holderHost.join(".") !== host || isRunning(Number(pid));
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // EPERM: it runs, as another user.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
