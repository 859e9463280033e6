// The comparisons of one database: a snapshot before a user is made, and what is different when it is gone (invariant 33).
// Nothing of an end waits for them: a user is dropped first, and compared when its records are there to read.

import { createHash } from "node:crypto";
import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import { type Kysely, type Selectable, sql } from "kysely";
import type { Logger } from "pino";
import type { Trail } from "../../audit/trail.ts";
import type { Store } from "../../store/store.ts";
import type { Tables } from "../../store/tables.ts";
import type { Executor } from "../executor.ts";
import type { LedgerRow } from "../ledger.ts";
import type { Comparison, Snapshot } from "../traces.ts";
import {
  type AttributedTrace,
  Attribution,
  attributingKinds,
  type Candidate,
  type JournalRecord,
} from "./attribution.ts";

/** Milliseconds, and counts. */
export const comparisonLimits = {
  /** How long a comparison may take before another one is begun. */
  leaseMs: 60_000,
  /** Between tries; and how long the records of a grant may take to get into the store. */
  retryMs: 500,
  auditWaitMs: 10_000,
  atATime: 4,
  /** Grants at the same time that are asked for. */
  candidates: 100,
  /** Records that are read to find the makers; the rest is said to be unread. */
  records: 200_000,
  pageOfRecords: 1000,
  /** Traces that stand in the audit record, one sentence each. */
  recorded: 50,
} as const;

type ComparisonRow = Selectable<Tables["comparisons"]>;

export interface ComparisonsPorts {
  /** Name in the configuration. */
  readonly name: string;
  /** Names of all databases of the same server: grants on those may have made it, too. */
  readonly neighbours: readonly string[];
  readonly executor: Pick<Executor, "snapshot" | "compare">;
  readonly store: Store;
  readonly trail: Trail;
  readonly clock: Clock;
  readonly log: Logger;
}

export class Comparisons {
  readonly #ports: ComparisonsPorts;
  #working = false;

  constructor(ports: ComparisonsPorts) {
    this.#ports = ports;
  }

  /**
   * Takes the snapshot for a user that is about to be made; once a grant, however often its user is.
   * @throws JitdbError `database.unavailable`, `database.misconfigured`
   */
  async begin({ grant_id, profile }: Pick<LedgerRow, "grant_id" | "profile">): Promise<void> {
    const { name, executor, store, clock } = this.#ports;
    const known = await store.db
      .selectFrom("comparisons")
      .select("grant_id")
      .where("grant_id", "=", grant_id)
      .executeTakeFirst();
    if (known !== undefined) {
      return;
    }
    const taken_at = clock.now();
    const snapshot = await executor.snapshot(profile);
    await store.db
      .insertInto("comparisons")
      .values({
        grant_id,
        database_name: name,
        state: "taken",
        snapshot: JSON.stringify(snapshot),
        gaps: "[]",
        traces: "[]",
        taken_at,
        next_attempt_at: 0,
      })
      .onConflict((conflict) => conflict.column("grant_id").doNothing())
      .execute();
  }

  /** Compares what is due; resolves when that is done. */
  async work(): Promise<void> {
    if (this.#working) {
      return;
    }
    this.#working = true;
    try {
      for (const row of await this.#claim()) {
        await this.#compare(row);
      }
    } finally {
      this.#working = false;
    }
  }

  async #claim(): Promise<readonly ComparisonRow[]> {
    const { name, store, clock } = this.#ports;
    const now = clock.now();
    return await store.db
      .updateTable("comparisons")
      .set({ next_attempt_at: now + comparisonLimits.leaseMs })
      .where(
        "grant_id",
        "in",
        dueComparisons(store.db, now)
          .select("comparisons.grant_id")
          .where("comparisons.database_name", "=", name)
          .limit(comparisonLimits.atATime),
      )
      // Again: of two servers that chose the same row, the second finds it taken.
      .where("next_attempt_at", "<=", now)
      .returningAll()
      .execute();
  }

  async #compare(row: ComparisonRow): Promise<void> {
    const { executor, store, clock, log, name } = this.#ports;
    const again = (problem: string | null) =>
      store.db
        .updateTable("comparisons")
        .set({ next_attempt_at: clock.now() + comparisonLimits.retryMs, problem })
        .where("grant_id", "=", row.grant_id)
        .where("state", "=", "taken")
        .execute();
    try {
      if (!(await this.#recordsAreThere(row))) {
        await again(null);
        return;
      }
      const comparison = await executor.compare(JSON.parse(row.snapshot ?? "") as Snapshot);
      await this.#finish(row, await this.#attribute(row, comparison));
    } catch (error) {
      const { message, code, detail } = toJitdbError(error);
      log.warn({ database: name, grant: row.grant_id, code, detail, err: error }, message);
      await again(
        error instanceof JitdbError
          ? `The comparison waits: ${message}`
          : "The comparison failed, and is tried again.",
      );
    }
  }

  /** The journal is in order: when the user's end is there, all statements of the grant are. */
  async #recordsAreThere({ grant_id }: ComparisonRow): Promise<boolean> {
    const { store, clock } = this.#ports;
    const end = await store.db
      .selectFrom("audit_records")
      .select("seq")
      .where("grant_id", "=", grant_id)
      .where("kind", "=", "user.dropped")
      .executeTakeFirst();
    const user = await store.db
      .selectFrom("ephemeral_users")
      .select("dropped_at")
      .where("grant_id", "=", grant_id)
      .executeTakeFirst();
    const waitedMs = clock.now() - (user?.dropped_at ?? 0);
    return end !== undefined || waitedMs > comparisonLimits.auditWaitMs;
  }

  async #attribute(
    row: ComparisonRow,
    { traces, gaps }: Comparison,
  ): Promise<{ traces: AttributedTrace[]; gaps: readonly string[] }> {
    if (traces.length === 0) {
      return { traces: [], gaps };
    }
    const candidates = await this.#candidates(row);
    const attribution = new Attribution(traces, row.grant_id, candidates);
    let left: number = comparisonLimits.records;
    for (const { grant } of candidates) {
      left -= await this.#readRecords(grant, left, (record) => attribution.read(grant, record));
    }
    const { records, candidates: most } = comparisonLimits;
    const unread = [
      ...(left > 0 ? [] : [`Only ${records} records were read to find who made it.`]),
      ...(candidates.length < most ? [] : [`Only ${most} of the grants at the time were asked.`]),
    ];
    return { traces: attribution.result(), gaps: [...gaps, ...unread] };
  }

  /** Grants that had a user on the same server between the two snapshots, this one first. */
  async #candidates(row: ComparisonRow): Promise<readonly Candidate[]> {
    const { store, neighbours } = this.#ports;
    return await store.db
      .selectFrom("ephemeral_users")
      .innerJoin("grants", "grants.id", "ephemeral_users.grant_id")
      .innerJoin("people", "people.id", "grants.person_id")
      .select(["grants.id as grant", "people.name as person"])
      .where("ephemeral_users.database_name", "in", neighbours)
      .where("ephemeral_users.created_at", "<=", this.#ports.clock.now())
      .where((where) =>
        where.or([
          where("ephemeral_users.dropped_at", "is", null),
          where("ephemeral_users.dropped_at", ">=", row.taken_at),
        ]),
      )
      .orderBy(sql`case when grants.id = ${row.grant_id} then 0 else 1 end`)
      .orderBy("grants.starts_at", "desc")
      .limit(comparisonLimits.candidates)
      .execute();
  }

  /** @returns how many were read */
  async #readRecords(
    grant: string,
    limit: number,
    take: (record: JournalRecord) => void,
  ): Promise<number> {
    const { store } = this.#ports;
    let position = { seq: -1, journal: "" };
    let count = 0;
    while (count < limit) {
      const page = await store.db
        .selectFrom("audit_records")
        .select(["seq", "journal", "line"])
        .where("grant_id", "=", grant)
        .where("kind", "in", attributingKinds)
        .where(sql<boolean>`(seq, journal) > (${position.seq}, ${position.journal})`)
        .orderBy("seq")
        .orderBy("journal")
        .limit(Math.min(comparisonLimits.pageOfRecords, limit - count))
        .execute();
      for (const { line } of page) {
        take(JSON.parse(line) as JournalRecord);
      }
      const last = page.at(-1);
      if (last === undefined) {
        break;
      }
      position = last;
      count += page.length;
    }
    return count;
  }

  async #finish(
    row: ComparisonRow,
    { traces, gaps }: { traces: readonly AttributedTrace[]; gaps: readonly string[] },
  ): Promise<void> {
    const { store, clock, trail, log } = this.#ports;
    const isClean = traces.length + gaps.length === 0;
    const digest = tracesDigest(traces, gaps);
    await store.transaction(async (tx) => {
      const finished = await tx
        .updateTable("comparisons")
        .set({
          state: isClean ? "clean" : "open",
          snapshot: null,
          traces: JSON.stringify(traces),
          gaps: JSON.stringify(gaps),
          digest,
          compared_at: clock.now(),
          problem: null,
        })
        .where("grant_id", "=", row.grant_id)
        .where("state", "=", "taken")
        .returning("grant_id")
        .executeTakeFirst();
      if (finished === undefined) {
        return;
      }
      const subject = await subjectOf(tx, row);
      const found = traces.slice(0, comparisonLimits.recorded).map(describeTrace);
      await trail.stage(tx, {
        ...subject,
        ...(isClean
          ? { kind: "traces.none" }
          : { kind: "traces.found", traces: traces.length, digest, found, gaps }),
      });
    });
    try {
      await trail.drain();
    } catch (error) {
      log.error({ err: error }, "audit records wait in the store");
    }
  }
}

/** Comparisons whose user is gone and whose next try is due. */
function dueComparisons(db: Kysely<Tables>, now: number) {
  return db
    .selectFrom("comparisons")
    .innerJoin("ephemeral_users", "ephemeral_users.grant_id", "comparisons.grant_id")
    .where("comparisons.state", "=", "taken")
    .where("comparisons.next_attempt_at", "<=", now)
    .where("ephemeral_users.state", "=", "dropped");
}

/** Names of the databases in which something is to be compared. */
export async function databasesToCompare(
  db: Kysely<Tables>,
  now: number,
): Promise<ReadonlySet<string>> {
  const rows = await dueComparisons(db, now)
    .select("comparisons.database_name as name")
    .distinct()
    .execute();
  return new Set(rows.map(({ name }) => name));
}

/** What a signature is for. */
function tracesDigest(traces: readonly AttributedTrace[], gaps: readonly string[]): string {
  return createHash("sha256").update(JSON.stringify({ traces, gaps })).digest("hex");
}

/** One sentence for the audit, such as `new table app.kept in orders, by alice with stm_…`. */
function describeTrace({ change, kind, identity, database, maker }: AttributedTrace): string {
  const where = database === null ? "" : ` in ${database}`;
  const by = maker.person === null ? "not by a statement of a grant" : `by ${maker.person}`;
  const statement = maker.statement === null ? "" : ` with ${maker.statement}`;
  return `${change} ${kind} ${identity}${where}, ${by}${statement}`;
}

async function subjectOf(db: Kysely<Tables>, row: ComparisonRow) {
  const grant = await db
    .selectFrom("grants")
    .innerJoin("people", "people.id", "grants.person_id")
    .innerJoin("requests", "requests.id", "grants.request_id")
    .select(["people.name", "grants.device_id", "requests.break_glass"])
    .where("grants.id", "=", row.grant_id)
    .executeTakeFirstOrThrow();
  return {
    person: grant.name,
    device: grant.device_id,
    database: row.database_name,
    grant: row.grant_id,
    ...(grant.break_glass === 1 && { breakGlass: true as const }),
  };
}
