// A PostgreSQL, a fake server in front of it, a logged-in home: what every test of the agent begins with.

import { execa } from "execa";
import pg from "pg";
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  expect,
  type RunnerTestCase,
  TestRunner,
} from "vitest";
import type { RunningPostgres } from "../support/postgres.ts";
import { requireProgram } from "../support/psql.ts";
import { createHome, type Home, jitdb, startTrustingPostgres } from "./cli.ts";
import { FakeServer } from "./fake-server.ts";

/** The line that `connect --json` prints when it is ready. */
export interface Ready {
  readonly host: string;
  readonly port: number;
  readonly socket: string;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly url: string;
  readonly expiresAt: string;
  readonly grant: string;
}

/** Registers its own hooks; a PostgreSQL for the file, server and home for each test. */
export class AgentFixture {
  readonly #running = new Set<ReturnType<typeof jitdb>>();
  #postgres: RunningPostgres | undefined;
  #server: FakeServer | undefined;
  #home: Home | undefined;

  constructor() {
    beforeAll(async () => {
      this.#postgres = await startTrustingPostgres();
    });
    afterAll(() => this.#postgres?.stop());
    beforeEach(async () => {
      this.#server = await FakeServer.start({ postgres: present(this.#postgres) });
      this.#home = await createHome(this.#server);
    });
    afterEach(async () => {
      for (const child of this.#running) {
        child.kill("SIGKILL");
        await child;
      }
      this.#running.clear();
      await this.#server?.stop();
      await this.#home?.remove();
      // A backend that sleeps does not see that its client has gone.
      await this.#askPostgres(
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where wait_event = 'PgSleep'",
      );
    });
  }

  get postgres(): RunningPostgres {
    return present(this.#postgres);
  }

  get server(): FakeServer {
    return present(this.#server);
  }

  get home(): Home {
    return present(this.#home);
  }

  /** Waits until a statement of this test is asleep inside the database. */
  async statementSleeps(): Promise<void> {
    const count = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    await expect.poll(() => this.#askPostgres(count), { timeout: 10_000 }).toBe("1");
  }

  async #askPostgres(sql: string): Promise<string> {
    const { port } = present(this.#postgres);
    const client = new pg.Client({
      host: "127.0.0.1",
      port,
      database: "postgres",
      user: "postgres",
    });
    await client.connect();
    try {
      const { rows } = await client.query<unknown[]>({ text: sql, rowMode: "array" });
      return String(rows[0]?.[0]);
    } finally {
      await client.end();
    }
  }

  /** Starts `jitdb`; it is ended with the test. */
  start(args: readonly string[], options?: Parameters<typeof jitdb>[2], home = this.home) {
    const child = jitdb(home, args, options);
    this.#running.add(child);
    return child;
  }

  /** Starts `connect --json` and waits until it is ready. */
  async connect(...args: string[]) {
    const child = this.start(["connect", "--json", ...args]);
    return { child, ready: JSON.parse(await firstLine(child.stdout)) as Ready };
  }
}

/** The first line of a stream, which flows on. */
export function firstLine(stream: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    stream.on("data", (chunk: unknown) => {
      text += String(chunk);
      if (text.includes("\n")) {
        resolve(text.slice(0, text.indexOf("\n")));
      }
    });
    stream.on("end", () => reject(new Error(`The stream ended before its first line: ${text}`)));
  });
}

/** Skips the test that runs where there is no psql. */
export function requirePsql(): void {
  requireProgram("psql", TestRunner.getCurrentTest<RunnerTestCase>().context);
}

/** Runs psql with a connection string and no configuration of its own; skips the test where there is none. */
export function psql(conninfo: string, sql: string, env: Record<string, string> = {}) {
  requirePsql();
  return execa("psql", ["-X", "-w", "-At", conninfo, "-c", sql], {
    reject: false,
    env: { PGPASSWORD: undefined, LC_ALL: "C.UTF-8", ...env },
  });
}

export function overTcp({ host, port }: Ready, more = ""): string {
  return `host=${host} port=${port} dbname=orders user=alice ${more}`;
}

export function overSocket({ socket, port }: Ready): string {
  return `host=${socket} port=${port} dbname=orders user=alice`;
}

function present<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error("The fixture has not started.");
  }
  return value;
}
