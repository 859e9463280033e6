// Runs scripts on both sides and compares what was seen of them. See script.ts for what this is all about.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { protocolVersions } from "@jitdb/shared/postgres/startup";
import { execa } from "execa";
import pg from "pg";
import { eventually } from "../support/eventually.ts";
import type { Journal } from "../support/journal.ts";
import type { PostgresVersion } from "../support/postgres.ts";
import { clientEnvironment, findProgram } from "../support/psql.ts";
import { readEffects } from "./effects.ts";
import { Oracle } from "./oracle.ts";
import { RawSession, sendCancel } from "./raw-session.ts";
import type { ProgramInput, Script, World } from "./script.ts";
import type { TraceEntry } from "./server-trace.ts";
import {
  type Sightings,
  sightingsOf,
  upToViolation,
  withoutDurations,
  withoutIds,
} from "./sightings.ts";
import { type Side, Twins } from "./twins.ts";

/** What there is to compare of one script on one side. */
export interface Report {
  /** What its client got. */
  readonly results: Sightings;
  /** What the server logged, a text a session. */
  readonly traces: readonly string[];
  readonly effects: readonly string[];
}

export class Bench {
  readonly #twins: Twins;
  /** The tunnelled sessions so far, by process id, with the script that they were of. */
  readonly #sessions: { script: string; pid: number; entries: readonly TraceEntry[] }[] = [];

  private constructor(twins: Twins) {
    this.#twins = twins;
  }

  /** Whoever opens it calls `close`. */
  static async open(version: PostgresVersion): Promise<Bench> {
    return new Bench(await Twins.open(version));
  }

  async close(): Promise<void> {
    await this.#twins.close();
  }

  /** Both sides at once: they share nothing. */
  async run(script: Script): Promise<{ readonly direct: Report; readonly tunnelled: Report }> {
    const { direct, tunnelled } = this.#twins;
    const reports = await Promise.allSettled([
      this.#runOn(direct, script),
      this.#runOn(tunnelled, script),
    ]);
    const [one, other] = reports.map((report) => {
      if (report.status === "rejected") {
        throw report.reason;
      }
      return report.value;
    }) as [Report, Report];
    return { direct: one, tunnelled: other };
  }

  /** The tunnelled server's journal, once every session is closed there. */
  async journal(): Promise<Journal> {
    return await eventually("all sessions are closed on record", async () => {
      const now = await this.#twins.journal();
      const open = new Set(now.of("session.opened").map(({ session }) => session));
      for (const { session } of now.of("session.closed")) {
        open.delete(session);
      }
      return open.size === 0 && now;
    });
  }

  /** What an audit lacks or makes up, of all scripts that have run: by script and session. */
  auditFindings(journal: Pick<Journal, "of">): string[] {
    const oracle = new Oracle(journal);
    return this.#sessions.flatMap(({ script, pid, entries }) =>
      oracle.findings(pid, entries).map((finding) => `${script}: ${finding}`),
    );
  }

  async #runOn(side: Side, script: Script): Promise<Report> {
    const world = await SideWorld.create(side);
    try {
      await script.run(world);
      const results = world.sightings();
      await world.untilAlone();
      const sessions = await side.trace.next();
      if (side.name === "tunnelled") {
        for (const [pid, entries] of sessions) {
          this.#sessions.push({ script: script.name, pid, entries });
        }
      }
      const effects = await readEffects(side.superuser);
      const isListed = script.showsDifference !== undefined;
      return {
        results: isListed ? mapValues(results, upToViolation) : results,
        traces: isListed ? [] : tracesOf([...sessions.values()], script),
        effects,
      };
    } finally {
      await world.close();
      // Of a script that failed nothing is left for the next one to trip over.
      await side.trace.next();
    }
  }
}

/** Sessions that run at the same time have no order. */
function tracesOf(sessions: readonly (readonly TraceEntry[])[], { hasWorkers }: Script): string[] {
  const parts = hasWorkers ? sessions.flat() : sessions.map((entries) => entries.flat());
  return parts.map((lines) => withoutIds(lines.join("\n"))).sort();
}

function mapValues(
  sightings: Sightings,
  change: (lines: readonly string[]) => readonly string[],
): Sightings {
  return Object.fromEntries(Object.entries(sightings).map(([who, it]) => [who, change(it)]));
}

class SideWorld implements World {
  readonly #side: Side;
  readonly #folder: string;
  readonly #sessions: RawSession[] = [];
  readonly #clients: pg.Client[] = [];
  readonly #seen: Record<string, string[]> = {};

  private constructor(side: Side, folder: string) {
    this.#side = side;
    this.#folder = folder;
  }

  static async create(side: Side): Promise<SideWorld> {
    return new SideWorld(side, await mkdtemp(join(tmpdir(), "jitdb-bench-")));
  }

  async open(
    parameters: Readonly<Record<string, string>> = {},
    version: number = protocolVersions.v3_0,
  ): Promise<RawSession> {
    const session = await RawSession.open(this.#side.address, parameters, version);
    this.#sessions.push(session);
    return session;
  }

  async client(): Promise<pg.Client> {
    const client = new pg.Client({ ...this.#side.address });
    const number = this.#clients.push(client);
    const who = `client ${number}`;
    client.on("notice", (notice) => this.#see(who, `notice ${said(notice)}`));
    client.on("notification", ({ channel, payload }) =>
      this.#see(who, `notification ${channel} ${payload}`),
    );
    client.on("error", (error) => this.#see(who, `error ${said(error)}`));
    await client.connect();
    return client;
  }

  async program(
    name: string,
    args: readonly string[],
    { input = "", env = {} }: ProgramInput = {},
  ): Promise<void> {
    const { host, port, user, password, database } = this.#side.address;
    const environment = {
      PGHOST: host,
      PGPORT: String(port),
      PGUSER: user,
      PGPASSWORD: password,
      PGDATABASE: database,
      PSQLRC: "/dev/null",
      ...env,
    };
    const { stdout, stderr, exitCode } = await execa(findProgram(name) ?? name, args, {
      cwd: this.#folder,
      env: clientEnvironment({ environment }),
      extendEnv: false,
      reject: false,
      input,
      stripFinalNewline: false,
    });
    const words = name === "pgbench" ? (text: string) => withoutDurations(text) : withoutIds;
    this.#see(
      `${name} ${args.join(" ")}`,
      `exit code ${exitCode}`,
      ...words(stdout).split("\n"),
      ...words(stderr)
        .split("\n")
        .map((line) => `stderr: ${line}`),
    );
  }

  async cancel({ key }: RawSession): Promise<void> {
    if (key === undefined) {
      throw new Error("The session has no cancel key.");
    }
    await sendCancel(this.#side.address, key);
  }

  note(what: string, value: unknown): void {
    this.#see(what, value instanceof Error ? said(value) : JSON.stringify(value));
  }

  async until(sql: string): Promise<void> {
    const { superuser } = this.#side;
    await eventually(sql, async () => {
      const { rows } = await superuser.query<[boolean]>({ text: sql, rowMode: "array" });
      return rows[0]?.[0];
    });
  }

  sightings(): Sightings {
    const pids = new Map(
      this.#sessions.map(({ key }, at) => [key?.processId ?? 0, `process of session ${at + 1}`]),
    );
    const sessions = this.#sessions.map((session, at) => [
      `session ${at + 1}`,
      sightingsOf(session, pids),
    ]);
    return { ...this.#seen, ...Object.fromEntries(sessions) };
  }

  /** Says goodbye everywhere, and waits until the server has none of the role's sessions: what they logged is complete. */
  async untilAlone(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.end()));
    await Promise.all(
      this.#sessions.filter(({ isClosed }) => !isClosed).map((session) => session.end()),
    );
    await this.until(`SELECT count(*) = 0 ${this.#ofRole()}`);
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) {
      session.destroy();
    }
    await Promise.all(this.#clients.map((client) => client.end().catch(() => undefined)));
    await this.until(`SELECT count(pg_terminate_backend(pid)) = 0 ${this.#ofRole()}`);
    await rm(this.#folder, { recursive: true, force: true });
  }

  #ofRole(): string {
    const { address, superuser } = this.#side;
    return `FROM pg_stat_activity WHERE usename = ${superuser.escapeLiteral(address.user)}`;
  }

  #see(who: string, ...lines: readonly string[]): void {
    const seen = this.#seen[who] ?? [];
    seen.push(...lines);
    this.#seen[who] = seen;
  }
}

/** What a library makes of an ErrorResponse or NoticeResponse. */
function said(message: Error | object): string {
  const { length: _length, stack: _stack, ...fields } = message as Record<string, unknown>;
  const text = (message as Partial<Error>).message;
  return withoutIds(JSON.stringify({ ...fields, message: text }));
}
