// One server at a time on a data folder: a lock that the operating system takes back when its holder dies, however it dies,
// and beside it a file for people that says who the holder is.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import Sqlite from "better-sqlite3";
import * as z from "zod";

const holderShape = z.object({
  pid: z.number(),
  host: z.string(),
  /** ISO 8601. */
  since: z.string(),
  /** Where the server listens. */
  address: z.string(),
});

/** Who has the store open. */
export type Holder = z.infer<typeof holderShape>;

export interface StoreLock {
  release(): void;
}

/**
 * Takes the lock for this process, and says so in a file of the same name with `.json` behind it. An exclusive transaction on an empty SQLite file is the lock: SQLite knows each
 * platform's kind of file lock, and two in one process exclude each other, too. Network file systems that do not keep
 * such locks are no place for a store.
 * @throws JitdbError `store.held` with the holder's pid, host, time and address.
 */
export function lockStore(lockFile: string, holder: Holder): StoreLock {
  const holderFile = `${lockFile}.json`;
  const lock = new Sqlite(lockFile, { timeout: 0 });
  try {
    lock.exec("begin exclusive");
  } catch (error) {
    lock.close();
    throw held(dirname(lockFile), holderFile, error);
  }
  writeFileSync(holderFile, `${JSON.stringify(holder)}\n`, { mode: 0o600 });
  return {
    release() {
      rmSync(holderFile, { force: true });
      lock.close();
    },
  };
}

function held(folder: string, holderFile: string, cause: unknown): JitdbError {
  const holder = readHolder(holderFile);
  const who =
    holder === undefined
      ? "another process"
      : `process ${holder.pid} on ${holder.host}, which listens on ${holder.address}, since ${holder.since}`;
  return new JitdbError("store.held", `The store in ${folder} is in use by ${who}.`, { cause });
}

function readHolder(holderFile: string): Holder | undefined {
  try {
    return holderShape.parse(JSON.parse(readFileSync(holderFile, "utf8")));
  } catch {
    // Only a comfort for the reader of the message: the lock itself has already decided.
    return undefined;
  }
}
