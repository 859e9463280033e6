// People work, grants begin and end, and the server is killed again and again at random moments. What must hold at the end:
// no role, no session past its end, no statement without its record. One run for the integration tests, a long one for the soak.

import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { eventually } from "../support/eventually.ts";
import type { Journal } from "../support/journal.ts";
import type { Person } from "../support/person.ts";
import type { Company, Door } from "./company.ts";
import { statementsInLog } from "./server-log.ts";

export interface CrashRun {
  readonly kills: number;
  readonly seed: number;
}

export interface CrashReport {
  /** Statements that people saw the answer of. */
  readonly answered: number;
  /** Statements in the database's own log: what the audit is held against. */
  readonly logged: number;
  /** Sessions that the database had later than it may: a sentence each. */
  readonly overdue: readonly string[];
  /** Statements in the database's own log that the audit does not have. */
  readonly unrecorded: readonly string[];
  readonly rolesLeft: readonly string[];
  readonly brokenChainAt: number | undefined;
  /** Users that were planned and whose end is not on record. */
  readonly usersWithoutEnd: readonly string[];
  /** Users whose making, or whose end, a crash came into: what the moments have hit. */
  readonly interrupted: { readonly makings: number; readonly endings: number };
}

/** Statements that somebody saw the answer of: without any, nothing was tried. */
export const leastAnswered = 10;

const limits = {
  /** Between a server that is ready and its next crash, at the most, where one starts in the usual time; else longer. */
  longestLifeMs: 3000,
  usualStartMs: 900,
  /** One life in so many lasts until somebody has worked: on a slow machine hardly any would be long enough by itself. */
  killsPerLongLife: 4,
  servedWithinMs: 90_000,
  mostSlowness: 4,
  /** The promise is a second; this machine has two cores and starts a server each second. */
  graceMs: 2000,
  grantSeconds: 4,
  lookMs: 100,
  retryMs: 50,
} as const;

/** The seed of JITDB_SEED, or one that nobody has seen. Printed, so that a failure can be repeated. */
export function chooseSeed(): number {
  const seed = Number(process.env["JITDB_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`JITDB_SEED=${seed}`);
  return seed;
}

/** A company whose PostgreSQL logs every statement with `log_line_prefix = '%u '`, and the people who work there. */
export async function crashAtRandom(
  company: Company,
  people: readonly Person[],
  { kills, seed }: CrashRun,
): Promise<CrashReport> {
  const random = mulberry32(seed);
  const run = new Run(company);
  const work = [...people.map((person) => run.work(person)), run.watch()];
  try {
    for (let kill = 1; kill <= kills; kill++) {
      // Squared: more often while a server starts up than later.
      await delay(random() ** 2 * limits.longestLifeMs * run.slowness);
      if (kill % limits.killsPerLongLife === 0) {
        await run.untilServed();
      }
      await run.crash();
    }
  } finally {
    run.stop();
  }
  await Promise.all(work);
  return await run.report();
}

class Run {
  readonly #company: Company;
  #isOver = false;
  #answered = 0;
  #number = 0;
  /** How much longer the last start took than on a machine that has nothing else to do. */
  slowness = 1;
  /** Epoch ms since when the server can be reached; undefined while it is dead. */
  #readySince: number | undefined = Date.now();
  readonly #seen: { readonly at: number; readonly user: string; readonly readySince: number }[] =
    [];

  constructor(company: Company) {
    this.#company = company;
  }

  stop(): void {
    this.#isOver = true;
  }

  async untilServed(): Promise<void> {
    const before = this.#answered;
    await eventually(
      "somebody has worked",
      async () => this.#answered >= before + leastAnswered,
      limits.servedWithinMs,
    );
  }

  async crash(): Promise<void> {
    const { installation } = this.#company;
    this.#readySince = undefined;
    await installation.killServer();
    const startedAt = Date.now();
    await installation.startServer();
    this.#readySince = Date.now();
    const measured = (this.#readySince - startedAt) / limits.usualStartMs;
    this.slowness = Math.min(limits.mostSlowness, Math.max(1, measured));
  }

  /** Asks for access, uses it while it lasts, and asks again; whatever fails because the server died is tried again. */
  async work(person: Person): Promise<void> {
    while (!this.#isOver) {
      const door = await this.#enter(person);
      const state = { isOpen: door !== undefined };
      void door?.child.then(() => {
        state.isOpen = false;
      });
      while (door !== undefined && state.isOpen && !this.#isOver) {
        await this.#query(door, person.name).catch(async () => {
          // The server is dead, or the time is over.
          await delay(limits.retryMs);
        });
      }
      door?.child.kill("SIGKILL");
      await door?.child;
    }
  }

  async #enter(person: Person): Promise<Door | undefined> {
    try {
      const time = `${Math.ceil(limits.grantSeconds * this.slowness)}s`;
      const grant = await this.#company.grant(time, "read-write", person);
      // By its id: one that an earlier crash left without its person may be live, too.
      return await this.#company.connect([], person, grant);
    } catch {
      // The server died under it. A grant that came of it ends by itself.
      return undefined;
    }
  }

  async #query(door: Door, name: string): Promise<void> {
    const client = await door.client();
    try {
      while (!this.#isOver) {
        this.#number += 1;
        await client.query(`SELECT 'statement ${this.#number} of ${name}', pg_sleep(0.02)`);
        this.#answered += 1;
      }
    } finally {
      await client.end().catch(() => {
        // It had ended before.
      });
    }
  }

  /** Looks at the database's sessions as long as anybody works. */
  async watch(): Promise<void> {
    while (!this.#isOver) {
      const rows = await this.#company.installation.asSuperuser<{ usename: string }>(
        "SELECT DISTINCT usename FROM pg_stat_activity WHERE usename LIKE 'jit\\_%'",
      );
      const at = Date.now();
      for (const { usename: user } of rows) {
        this.#seen.push({ at, user, readySince: this.#readySince ?? at });
      }
      await delay(limits.lookMs);
    }
  }

  async report(): Promise<CrashReport> {
    const { installation } = this.#company;
    await eventually(
      "no role is left",
      async () => (await installation.ephemeralUsers()).length === 0,
      // The last grant's own time, and some for its end.
      limits.grantSeconds * limits.mostSlowness * 1000 + 15_000,
    );
    const isWhole = async () => {
      const journal = await this.#company.journal();
      return journal.of("user.dropped").length >= journal.of("user.planned").length && journal;
    };
    const journal =
      (await eventually("the ends are on record", isWhole).catch(() => undefined)) ??
      (await this.#company.journal());
    const granted = new Map(journal.of("request.granted").map((one) => [one.grant, one.endsAt]));
    const planned = journal.of("user.planned");
    const dropped = new Set(journal.of("user.dropped").map(({ user }) => user));
    const endOf = new Map(
      planned.map(({ user, grant }) => [user, Date.parse(granted.get(grant) ?? "")]),
    );
    const recorded = journal.statements();
    const log = await readFile(installation.postgres.serverLog, "utf8");
    const logged = statementsInLog(log, /^jit_/);
    return {
      answered: this.#answered,
      logged: logged.length,
      overdue: this.#seen.flatMap(({ at, user, readySince }) => {
        const lateMs = at - Math.max(endOf.get(user) ?? 0, readySince);
        return lateMs > limits.graceMs ? [`${user} had a session ${lateMs} ms after its end`] : [];
      }),
      unrecorded: logged.filter((statement) => !recorded.has(statement)),
      rolesLeft: await installation.ephemeralUsers(),
      brokenChainAt: journal.firstBreak(),
      usersWithoutEnd: planned.map(({ user }) => user).filter((user) => !dropped.has(user)),
      interrupted: {
        makings: interruptions(journal, "user.planned", "user.created"),
        endings: interruptions(journal, "grant.ended", "user.dropped"),
      },
    };
  }
}

/** Grants for which the server was started between two of their records. */
function interruptions(
  journal: Journal,
  first: "user.planned" | "grant.ended",
  last: "user.created" | "user.dropped",
): number {
  const starts = journal.of("server.started").map(({ seq }) => seq);
  const begun = new Map(journal.of(first).map(({ grant, seq }) => [grant, seq]));
  return journal.of(last).filter(({ grant, seq }) => {
    const from = begun.get(grant);
    return from !== undefined && starts.some((start) => from < start && start < seq);
  }).length;
}

/** A small generator with a seed (Tommy Ettinger's mulberry32). */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What every report has to say. */
export const nothingLost: Partial<CrashReport> = {
  overdue: [],
  unrecorded: [],
  rolesLeft: [],
  brokenChainAt: undefined,
  usersWithoutEnd: [],
};
