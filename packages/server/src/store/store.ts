// The store: the server's state in tables, behind Kysely. Embedded: SQLite in a thread, one server at a time.

import { AsyncLocalStorage } from "node:async_hooks";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import { Kysely, type KyselyPlugin } from "kysely";
import { lockStore, type StoreLock } from "./lock.ts";
import { migrate } from "./migrations.ts";
import { SqliteThreadDialect } from "./sqlite-dialect.ts";
import { SqliteThread } from "./sqlite-thread.ts";
import type { Tables } from "./tables.ts";

const storeName = "store.sqlite";
const lockName = "store.lock";

export interface Store {
  /** For single statements. Inside `transaction` use what it hands over: anything else would wait for itself and throws. */
  readonly db: Kysely<Tables>;
  /**
   * Runs `work` with the store to itself: all of it is kept when it returns, nothing when it throws.
   * Transactions run one after the other, so keep network and disk out of them.
   */
  transaction<T>(work: (tx: Kysely<Tables>) => Promise<T>): Promise<T>;
  /** Waits for what is running and lets go of the files. */
  close(): Promise<void>;
}

export interface StoreOptions {
  /** Absolute path of the data folder; made with mode 0700 if it is missing. */
  readonly folder: string;
  readonly clock: Clock;
  /** Where this server listens; for the person who wonders who holds the store. */
  readonly address: string;
}

/**
 * Opens the embedded store of a data folder and brings it up to date.
 * @throws JitdbError `store.held`, `store.damaged`, `store.newer`, or `local.storage` when the folder cannot be used.
 */
export async function openStore({ folder, clock, address }: StoreOptions): Promise<Store> {
  const lock = openFolder(folder, clock, address);
  try {
    return await openDatabase(join(folder, storeName), clock, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** An empty store that lives in memory, with the same tables, thread and queue. For tests. */
export async function openMemoryStore(clock: Clock = { now: () => 0 }): Promise<Store> {
  return await openDatabase(":memory:", clock, { release() {} });
}

function openFolder(folder: string, clock: Clock, address: string): StoreLock {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const since = new Date(clock.now()).toISOString();
    // SECURITY: nobody else on the host may read the store or hold its lock. SQLite gives its log and shared memory
    // the mode of the file.
    for (const name of [lockName, storeName]) {
      closeSync(openSync(join(folder, name), "a", 0o600));
    }
    return lockStore(join(folder, lockName), {
      pid: process.pid,
      host: hostname(),
      since,
      address,
    });
  } catch (error) {
    throw error instanceof JitdbError ? error : unusable(folder, error);
  }
}

function unusable(folder: string, cause: unknown): JitdbError {
  return new JitdbError("local.storage", `The data folder ${folder} cannot be used.`, { cause });
}

async function openDatabase(file: string, clock: Clock, lock: StoreLock): Promise<Store> {
  const thread = await SqliteThread.open(file);
  const kysely = new Kysely<Tables>({ dialect: new SqliteThreadDialect(thread) });
  try {
    await migrate(kysely, clock);
  } catch (error) {
    await thread.close();
    throw error;
  }
  const guard = new TransactionGuard();
  return {
    db: kysely.withPlugin(guard),
    transaction: (work) => guard.run(() => kysely.transaction().execute(work)),
    async close() {
      await kysely.destroy();
      lock.release();
    },
  };
}

/** Turns a statement beside the transaction that it is made in, which would wait for itself for ever, into an error. */
class TransactionGuard implements KyselyPlugin {
  readonly #current = new AsyncLocalStorage<{ open: boolean }>();

  async run<T>(work: () => Promise<T>): Promise<T> {
    this.#refuseInside();
    const transaction = { open: true };
    try {
      return await this.#current.run(transaction, work);
    } finally {
      transaction.open = false;
    }
  }

  transformQuery: KyselyPlugin["transformQuery"] = ({ node }) => {
    this.#refuseInside();
    return node;
  };

  transformResult: KyselyPlugin["transformResult"] = async ({ result }) => result;

  #refuseInside(): void {
    if (this.#current.getStore()?.open === true) {
      throw new Error("Inside a transaction, use the transaction's own handle.");
    }
  }
}
