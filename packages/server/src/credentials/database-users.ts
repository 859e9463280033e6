// The ephemeral users of one database: made, ended, reconciled and watched. A database that hangs holds up only itself.

import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { Clock, GrantId } from "@jitdb/shared/ids";
import type { ScramCrypto } from "@jitdb/shared/postgres/scram/crypto";
import { buildVerifier, scramSaltBytes } from "@jitdb/shared/postgres/scram/verifier";
import type { Secret } from "@jitdb/shared/secret";
import type { Logger } from "pino";
import { type EndReport, endUser, remedySql } from "./end.ts";
import type { EndStep, Executor, StepResult, UserRef } from "./executor.ts";
import { derivePassword } from "./keys.ts";
import { claimedAt, type Ledger, type LedgerRow } from "./ledger.ts";
import { Trouble } from "./trouble.ts";
import type { UserRecorder } from "./user-recorder.ts";

/** Counts and milliseconds. */
export const databaseLimits = {
  /** Users that are made or ended at a time; the admin has some connections more. */
  concurrency: 6,
  /** From one try to the next while the database is away, or as long as a try takes; none is counted. */
  awayMs: 200,
  /** Between looks whether the sessions of a soft end have finished. */
  drainLookMs: 200,
  /** After a refusal, doubled each time. */
  firstRetryMs: 500,
  longestRetryMs: 60_000,
  /** Runs that leave something behind before the user is quarantined; it is retried all the same. */
  runsToQuarantine: 4,
  scramIterations: 4096,
} as const;

/** For the log, once a user: whoever watches it has to run what the line's `remedy` holds. */
export const quarantinedMessage = "a user is quarantined: somebody has to run its remedy";

/** Where a crash may happen: after a step of the end, or after the user was made but before the ledger knows. */
export type LifeStep = EndStep | "create";

export interface DatabaseUsersPorts {
  /** Name in the configuration. */
  readonly name: string;
  /** Name of the database that remedies are run in. */
  readonly databaseName: string;
  readonly installation: string;
  readonly databaseKey: Uint8Array;
  readonly executor: Executor;
  readonly ledger: Ledger;
  readonly recorder: UserRecorder;
  readonly clock: Clock;
  readonly crypto: ScramCrypto;
  readonly log: Logger;
  /** Process ids of the sessions that gateways have on this database, logins under way included. */
  readonly ownedBackends: () => Promise<readonly number[]>;
  /** Whether sessions of a grant whose time is over still finish their transactions. */
  readonly isDraining: (grantId: GrantId) => boolean;
  /** Has somebody call `work` soon. */
  readonly wake: () => void;
  /** Is waited for before a user is made; what it throws is treated as a refusal to make it. */
  readonly beforeCreate: (row: LedgerRow) => Promise<void>;
  /** Is told of every step that a database has done, before anything is written down about it. */
  readonly afterStep: (userName: string, step: LifeStep) => Promise<void>;
}

export class DatabaseUsers {
  readonly #ports: DatabaseUsersPorts;
  readonly #trouble: Trouble;
  /** Of the comparison at the start alone: it may fail where all the rest works. */
  readonly #reconcileTrouble: Trouble;
  #active = 0;
  #claiming = false;
  #reconciled = false;
  #reconciling = false;
  #watching = false;

  constructor(ports: DatabaseUsersPorts) {
    this.#ports = ports;
    this.#trouble = new Trouble(ports);
    this.#reconcileTrouble = new Trouble(ports);
  }

  /** Starts what is due, as far as there is room; resolves when what it started has come to its end. */
  async work(): Promise<void> {
    if (this.#claiming) {
      return;
    }
    this.#claiming = true;
    const claimed: Promise<void>[] = [];
    try {
      const { ledger, name } = this.#ports;
      for (const row of await ledger.claimEnds(name, this.#room())) {
        claimed.push(this.#occupied(() => this.#end(row)));
      }
      for (const row of await ledger.claimExtensions(name, this.#room())) {
        claimed.push(this.#occupied(() => this.#extend(row)));
      }
      for (const row of await ledger.claimStarts(name, this.#room())) {
        claimed.push(this.#occupied(() => this.#start(row)));
      }
    } finally {
      this.#claiming = false;
    }
    await Promise.all(claimed);
  }

  /** Once, as soon as the database can be reached: removes users that the ledger does not know, and finds those that vanished. */
  async reconcile(): Promise<void> {
    if (this.#reconciled || this.#reconciling) {
      return;
    }
    this.#reconciling = true;
    try {
      this.#reconciled = await this.#reconcileOnce();
      this.#trouble.over();
      this.#reconcileTrouble.over();
    } catch (error) {
      const known = toJitdbError(error);
      const isAway = known.code === "database.unavailable";
      (isAway ? this.#trouble : this.#reconcileTrouble).met(known);
    } finally {
      this.#reconciling = false;
    }
  }

  /** Ends sessions of ephemeral users that no gateway opened (invariant 42). */
  async watch(): Promise<void> {
    if (this.#watching) {
      return;
    }
    this.#watching = true;
    try {
      const { executor, installation, ownedBackends, recorder, name } = this.#ports;
      const backends = await executor.backends(installation);
      this.#trouble.over();
      if (backends.length > 0) {
        // Asked after the database, so that no login of the gateway's own is seen before it is owned.
        const owned = new Set(await ownedBackends());
        const strangers = backends.filter(({ pid }) => !owned.has(pid));
        for (const stranger of strangers.length > 0
          ? await executor.terminateBackends(strangers)
          : []) {
          await recorder.strangerTerminated(name, stranger);
        }
      }
    } catch (error) {
      this.#trouble.met(toJitdbError(error));
    } finally {
      this.#watching = false;
    }
  }

  /** @throws JitdbError `database.unsafe_profile`, `database.unavailable`, `database.misconfigured` */
  async assertSafe(row: LedgerRow): Promise<void> {
    await this.#ports.executor.assertSafe(toRef(row));
  }

  passwordOf(row: LedgerRow): Secret {
    return derivePassword(this.#ports.databaseKey, {
      userName: row.user_name,
      generation: row.generation,
    });
  }

  async close(): Promise<void> {
    await this.#ports.executor.close();
  }

  #room(): number {
    return databaseLimits.concurrency - this.#active;
  }

  async #occupied(work: () => Promise<void>): Promise<void> {
    this.#active++;
    try {
      await work();
    } finally {
      this.#active--;
    }
  }

  async #start(row: LedgerRow): Promise<void> {
    const { executor, recorder, ledger, clock, crypto, beforeCreate, afterStep } = this.#ports;
    let oid: number;
    try {
      await beforeCreate(row);
      const verifier = await buildVerifier(
        crypto,
        this.passwordOf(row).reveal(),
        crypto.randomBytes(scramSaltBytes),
        databaseLimits.scramIterations,
      );
      const validForMs = row.valid_until - clock.now();
      if (validForMs <= 0) {
        await ledger.release(row.id);
        return;
      }
      const { user_name: name, profile } = row;
      ({ oid } = await executor.create({ name, profile, verifier, validForMs }));
    } catch (error) {
      await this.#postpone(row, error);
      return;
    }
    this.#trouble.over();
    await afterStep(row.user_name, "create");
    await recorder.transition(row, "created", { oid, attempts: 0, last_error: null }, [
      { kind: "user.created", oid },
    ]);
    await ledger.release(row.id);
  }

  /** A user that is not made yet needs no more than the ledger's word. */
  async #extend(row: LedgerRow): Promise<void> {
    const { executor, recorder, ledger, clock } = this.#ports;
    const validUntil = await ledger.endOfGrant(row);
    if (row.state === "created") {
      try {
        await executor.extend(toRef(row), validUntil - clock.now());
      } catch (error) {
        await this.#postpone(row, error);
        return;
      }
      await recorder.extended(row, validUntil);
    }
    await ledger.release(row.id, { valid_until: validUntil });
  }

  async #end(row: LedgerRow): Promise<void> {
    const { executor, isDraining, clock } = this.#ports;
    if (clock.now() < drainedAt(row) && isDraining(row.grant_id)) {
      await this.#drain(row);
      return;
    }
    let report: EndReport;
    try {
      report = await endUser(
        executor,
        toRef(row),
        (step, result) => this.#observe(row, step, result),
        () => this.#closed(row),
      );
    } catch (error) {
      await this.#postpone(row, error);
      return;
    }
    this.#trouble.over();
    await (report.gone ? this.#dropped(row) : this.#remains(row, report));
  }

  /** Nobody logs in any more, and nobody is thrown out yet: the gateway ends each session when its transaction is over. */
  async #drain(row: LedgerRow): Promise<void> {
    const { executor, recorder, ledger, clock } = this.#ports;
    const until = drainedAt(row);
    if (row.state !== "draining") {
      try {
        const result = await executor.lock(toRef(row));
        await this.#observe(row, "lock", result);
        if (result.obstacles.length === 0) {
          const event = { kind: "user.draining", until: new Date(until).toISOString() } as const;
          await recorder.transition(row, "draining", {}, [event]);
        }
      } catch (error) {
        await this.#postpone(row, error);
        return;
      }
    }
    const next_attempt_at = Math.min(until, clock.now() + databaseLimits.drainLookMs);
    await ledger.release(row.id, { next_attempt_at });
  }

  async #observe(row: LedgerRow, step: EndStep, result: StepResult): Promise<void> {
    const { recorder, ledger, afterStep } = this.#ports;
    await afterStep(row.user_name, step);
    await recorder.step(row, step, result);
    if (!(await ledger.renew(row.id))) {
      throw new JitdbError("internal", `Another server ends ${row.user_name} by now.`);
    }
  }

  async #closed(row: LedgerRow): Promise<void> {
    const { recorder } = this.#ports;
    const latenessMs = this.#latenessMs(row);
    await recorder.transition(row, "locked", {}, [{ kind: "user.locked", latenessMs }]);
  }

  async #dropped(row: LedgerRow): Promise<void> {
    const { recorder, ledger, clock } = this.#ports;
    const fields = { dropped_at: clock.now(), last_error: null, remedy_sql: null };
    const latenessMs = this.#latenessMs(row);
    await recorder.transition(row, "dropped", fields, [{ kind: "user.dropped", latenessMs }]);
    await ledger.release(row.id);
  }

  /** Retried for ever; after some runs it is a person's turn, too. */
  async #remains(row: LedgerRow, report: EndReport): Promise<void> {
    const { recorder, ledger, clock, databaseName, name, log } = this.#ports;
    const attempts = row.attempts + 1;
    const error = report.obstacles.map(({ message }) => message).join("\n");
    const statements = [`DROP ROLE IF EXISTS "${row.user_name}"`];
    const remedy = remedySql(report.obstacles, { database: databaseName, statements });
    if (attempts >= databaseLimits.runsToQuarantine) {
      if (row.state !== "quarantined") {
        const fields = { database: name, user: row.user_name, grant: row.grant_id, error, remedy };
        log.error(fields, quarantinedMessage);
      }
      await recorder.transition(row, "quarantined", {}, [
        { kind: "user.quarantined", error, remedy },
      ]);
    }
    await ledger.release(row.id, {
      attempts,
      next_attempt_at: clock.now() + retryMs(attempts),
      last_error: error,
      remedy_sql: remedy,
    });
  }

  /** The database is away, or refuses the whole step. */
  async #postpone(row: LedgerRow, error: unknown): Promise<void> {
    const { ledger, clock, log, name, wake } = this.#ports;
    const known = toJitdbError(error);
    const away = known.code === "database.unavailable";
    const attempts = away ? row.attempts : row.attempts + 1;
    // A try that waited for an answer in vain has been pause enough: each further one would come on top of an end's lateness.
    const nextTry = away ? claimedAt(row) + databaseLimits.awayMs : clock.now() + retryMs(attempts);
    if (away) {
      this.#trouble.met(known);
    } else {
      const fields = { database: name, user: row.user_name, code: known.code };
      log.warn({ ...fields, detail: known.detail }, known.message);
    }
    await ledger.release(row.id, {
      attempts,
      next_attempt_at: Math.max(clock.now(), nextTry),
      last_error: [known.message, known.detail].filter(Boolean).join(" "),
    });
    if (nextTry <= clock.now()) {
      wake();
    }
  }

  async #reconcileOnce(): Promise<boolean> {
    const { executor, ledger, installation, name, recorder } = this.#ports;
    const before = await ledger.living(name);
    const present = await executor.users(installation);
    const living = new Set((await ledger.living(name)).map((row) => row.user_name));
    const roles = new Set(present.map((role) => role.name));
    for (const row of before) {
      if (row.state === "created" && !roles.has(row.user_name)) {
        await ledger.replan(row.user_name);
      }
    }
    let complete = true;
    for (const role of present.filter((role) => !living.has(role.name))) {
      const ref: UserRef = { ...role, profile: "" };
      const observe = (step: EndStep, result: StepResult) =>
        recorder.orphanStep(name, ref.name, step, result);
      const report = await endUser(executor, ref, observe, async () => {});
      complete &&= report.gone;
    }
    return complete;
  }

  #latenessMs(row: LedgerRow): number {
    return Math.max(0, this.#ports.clock.now() - drainedAt(row));
  }
}

/** When the last session has to be gone; epoch ms. */
function drainedAt({ end_due_at, valid_until, drain_ms }: LedgerRow): number {
  return (end_due_at ?? valid_until) + drain_ms;
}

function toRef(row: LedgerRow): UserRef {
  return { name: row.user_name, oid: row.oid, profile: row.profile };
}

function retryMs(attempts: number): number {
  const doubled = databaseLimits.firstRetryMs * 2 ** Math.min(attempts - 1, 20);
  return Math.min(doubled, databaseLimits.longestRetryMs);
}
