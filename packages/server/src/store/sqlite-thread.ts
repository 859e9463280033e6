// This side of the thread that SQLite runs in: a queue of questions, their answers, and SQLite's codes as our errors.

import { Worker } from "node:worker_threads";
import { JitdbError } from "@jitdb/shared/errors";
import type { WorkerAnswer, WorkerRequest } from "./sqlite-worker.ts";

/** How long a statement waits for another process that has the file open, such as a backup. */
const busyTimeoutMs = 5000;

interface Waiting {
  readonly resolve: (answer: WorkerAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** Their stores were closed. To start one takes longer than all that a test does with its store. */
const idleWorkers: Worker[] = [];

export class SqliteThread {
  readonly #file: string;
  readonly #worker: Worker;
  /** Oldest first: the thread answers in order. Bounded by its users: one connection has one question at a time. */
  readonly #waiting: Waiting[] = [];
  #ended: JitdbError | undefined;

  private constructor(file: string, worker: Worker) {
    this.#file = file;
    this.#worker = worker;
    this.#worker.on("message", (answer: WorkerAnswer) => this.#waiting.shift()?.resolve(answer));
    this.#worker.on("error", (cause) => this.#end(cause));
    this.#worker.on("exit", () => this.#end());
  }

  /**
   * Opens `file` (an absolute path, or `:memory:`) in a thread of its own.
   * @throws JitdbError `store.damaged` when the file is no store, `local.storage` when it cannot be read or written.
   */
  static async open(file: string): Promise<SqliteThread> {
    const worker = idleWorkers.pop() ?? new Worker(workerUrl(), { execArgv: [] });
    worker.ref();
    const thread = new SqliteThread(file, worker);
    try {
      await thread.ask({ kind: "open", file, busyTimeoutMs });
      return thread;
    } catch (error) {
      await worker.terminate();
      throw error;
    }
  }

  /**
   * Asks the thread and waits for its answer.
   * @throws JitdbError `store.damaged`, `local.storage`, or `internal` for anything else (a broken constraint too).
   */
  async ask(request: WorkerRequest): Promise<WorkerAnswer> {
    if (this.#ended !== undefined) {
      throw this.#ended;
    }
    this.#worker.postMessage(request);
    return await this.#answer();
  }

  /** Lets SQLite fold its log back into the file. The thread is the next store's, and keeps no process running. */
  async close(): Promise<void> {
    await this.ask({ kind: "close" });
    for (const event of ["message", "error", "exit"]) {
      this.#worker.removeAllListeners(event);
    }
    this.#end();
    this.#worker.unref();
    idleWorkers.push(this.#worker);
  }

  async #answer(): Promise<WorkerAnswer> {
    const answer = await new Promise<WorkerAnswer>((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
    if (answer.kind === "error") {
      throw storeError(this.#file, answer.sqliteCode, answer.message);
    }
    return answer;
  }

  #end(cause?: unknown): void {
    this.#ended ??= new JitdbError("internal", "The store was closed.", { cause });
    for (const waiting of this.#waiting.splice(0)) {
      waiting.reject(this.#ended);
    }
  }
}

/** Beside this file: as TypeScript where the source runs as it is, as a second bundle in dist/. */
function workerUrl(): URL {
  const extension = new URL(import.meta.url).pathname.endsWith(".ts") ? "ts" : "js";
  return new URL(`./sqlite-worker.${extension}`, import.meta.url);
}

/** SQLite's result codes (sqlite.org/rescode.html) as errors that a person can act on. */
function storeError(file: string, sqliteCode: string, message: string): JitdbError {
  const detail = `${sqliteCode}: ${message}`;
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(sqliteCode)) {
    return new JitdbError("store.damaged", `The store ${file} is damaged.`, { detail });
  }
  if (sqliteCode === "SQLITE_FULL") {
    return new JitdbError("local.storage", `There is no space left for the store ${file}.`, {
      detail,
    });
  }
  if (/^SQLITE_(IOERR|CANTOPEN|READONLY|PERM)/.test(sqliteCode)) {
    return new JitdbError("local.storage", `The store ${file} cannot be read or written.`, {
      detail,
    });
  }
  return new JitdbError("internal", "The store refused a change.", { detail });
}
