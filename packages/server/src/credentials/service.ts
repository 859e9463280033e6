// Makes, ends, reconciles and watches the ephemeral users of all databases. The ledger decides, the clock is a port, and
// `tick` may be called at any time and as often as one likes: everything due is claimed once.

import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { Clock, GrantId, Random } from "@jitdb/shared/ids";
import { randomBase32 } from "@jitdb/shared/ids";
import type { ScramCrypto } from "@jitdb/shared/postgres/scram/crypto";
import type { Secret } from "@jitdb/shared/secret";
import type { Logger } from "pino";
import type { Trail } from "../audit/trail.ts";
import type { Config, DatabaseConfig } from "../config/config.ts";
import type { Engine } from "../engines/engine.ts";
import type { Store } from "../store/store.ts";
import type { EphemeralUserState } from "../store/tables.ts";
import { Comparisons, databasesToCompare } from "./comparisons/comparisons.ts";
import { DatabaseUsers, type LifeStep, quarantinedMessage } from "./database-users.ts";
import type { Executor, Problem } from "./executor.ts";
import { deriveDatabaseKey } from "./keys.ts";
import { Ledger } from "./ledger.ts";
import { describeUserName } from "./names.ts";
import { UserRecorder } from "./user-recorder.ts";

/** Milliseconds, and one count. */
export const serviceLimits = {
  /** Between looks into the ledger. */
  tickMs: 200,
  /** Between looks for sessions that no gateway owns: two looks fit into the second that such a session may live. */
  watchMs: 400,
  /** Between tries to reconcile a database. */
  reconcileMs: 5000,
  /** Between looks at how profiles can leave traces. */
  waysMs: 300_000,
  /** Before users of a database that is not configured are looked at again, and how many at once. */
  strandedRetryMs: 60_000,
  strandedAtATime: 20,
} as const;

/** The gateway's part in telling its own sessions from strange ones. */
export interface SessionOwner {
  /** Resolves when every login that is under way now has ended one way or the other. */
  loginsSettled(databaseName: string): Promise<void>;
  ownedBackends(databaseName: string): readonly number[];
  /** Whether sessions of a grant whose time is over still finish their transactions. */
  isDraining(grantId: GrantId): boolean;
}

export interface CredentialsPorts {
  readonly config: Pick<Config, "databases" | "masterKey">;
  /** Part of every user's name, 1–5 of [a-z0-9]. */
  readonly installation: string;
  readonly engines: readonly Pick<Engine, "name" | "createExecutor">[];
  readonly store: Store;
  readonly trail: Trail;
  readonly clock: Clock;
  readonly random: Random;
  readonly crypto: ScramCrypto;
  readonly log: Logger;
  readonly sessions: SessionOwner;
  /** Is told of every step that a database has done. What it returns is waited for. */
  readonly afterStep?: (userName: string, step: LifeStep) => Promise<void>;
}

/** The user of a grant, as the ledger has it at this moment. */
export interface GrantUser {
  readonly state: EphemeralUserState;
  readonly userName: string;
  readonly password: Secret;
  /** Of the password. */
  readonly generation: number;
  /** Why it is not there yet, if something stands in the way; for the log, never for the client. */
  readonly problem?: string;
  /**
   * Settles when a user that is there is proven to be safe once more (invariant 32). Nothing of a client's may reach the database before.
   * Rejects with JitdbError `database.unsafe_profile`, `database.unavailable`, `database.misconfigured`.
   */
  readonly proven: Promise<void>;
}

/** What would be done in a database for a grant, or why that cannot be said; in words for whoever asks for it. */
export type Creation =
  | { readonly statements: readonly string[] }
  /** Names neither host nor admin. */
  | { readonly problem: string };

type Ways = Readonly<Record<string, readonly string[]>>;

export class Credentials {
  readonly #ports: CredentialsPorts;
  readonly #ledger: Ledger;
  readonly #recorder: UserRecorder;
  readonly #executors: ReadonlyMap<string, Executor>;
  readonly #comparisons: ReadonlyMap<string, Comparisons>;
  readonly #databases: ReadonlyMap<string, DatabaseUsers>;
  /** By database; since when they are known, and what was found. */
  readonly #ways = new Map<string, { readonly at: number; readonly byProfile: Ways }>();
  /** By database: why its profiles could not be looked at, as the log has it. */
  readonly #unseen = new Map<string, string>();
  /** Under way. */
  readonly #descriptions = new Map<string, Promise<Creation>>();
  readonly #running = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #watchedAt = Number.NEGATIVE_INFINITY;
  #reconciledAt = Number.NEGATIVE_INFINITY;

  constructor(ports: CredentialsPorts) {
    this.#ports = ports;
    this.#ledger = new Ledger(ports.store.db, ports.clock, randomBase32(ports.random, 16));
    this.#recorder = new UserRecorder({
      store: ports.store,
      ledger: this.#ledger,
      trail: ports.trail,
      onTrailError: (error) => ports.log.error({ err: error }, "audit records wait in the store"),
    });
    const databases = [...ports.config.databases.values()];
    const { engines } = ports;
    this.#executors = new Map(databases.map((one) => [one.name, createExecutor(engines, one)]));
    this.#comparisons = new Map(databases.map((one) => [one.name, this.#comparisonsOf(one)]));
    this.#databases = new Map(databases.map((one) => [one.name, this.#users(one)]));
  }

  /** Takes over what an earlier process left, then works by itself until `stop`. The store has to be this server's alone. */
  async start(): Promise<void> {
    await this.#ledger.releaseAll();
    await this.#ledger.adoptKey(this.#ports.config.masterKey.id);
    this.#timer = setInterval(() => this.#background(), serviceLimits.tickMs);
    this.#background();
  }

  /** Begins nothing more, waits for what is under way, and lets go of the databases. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#timer = undefined;
    await Promise.all(this.#running);
    await Promise.all([...this.#databases.values()].map((users) => users.close()));
  }

  /** Does all that is due now; resolves when that is done. Others may call it at the same time. */
  async tick(): Promise<void> {
    const inhabited = await this.#ledger.inhabited();
    if ([...inhabited.values()].includes("due")) {
      await this.#ledger.markDue();
    }
    const now = this.#ports.clock.now();
    const toCompare = await databasesToCompare(this.#ports.store.db, now);
    const reconcile = now - this.#reconciledAt >= serviceLimits.reconcileMs;
    const watch = now - this.#watchedAt >= serviceLimits.watchMs;
    this.#reconciledAt = reconcile ? now : this.#reconciledAt;
    this.#watchedAt = watch ? now : this.#watchedAt;
    await Promise.all([
      ...[...inhabited.keys()]
        .filter((name) => !this.#databases.has(name))
        .map((name) => this.#strand(name)),
      ...[...this.#databases].flatMap(([name, users]) => [
        ...(reconcile ? [users.reconcile(), this.#learnWays(name, now)] : []),
        ...(toCompare.has(name) ? [this.#comparisons.get(name)?.work()] : []),
        ...(inhabited.get(name) === "due" ? [users.work()] : []),
        ...(watch && inhabited.has(name) ? [users.watch()] : []),
      ]),
    ]);
  }

  /**
   * The user of a grant and its password.
   * @throws JitdbError `grant.unknown`, `database.unknown`
   */
  async userFor(grantId: GrantId): Promise<GrantUser> {
    const row = await this.#ledger.ofGrant(grantId);
    if (row === undefined) {
      throw new JitdbError("grant.unknown", `The grant ${grantId} has no database user.`);
    }
    const users = this.#databases.get(row.database_name);
    if (users === undefined) {
      throw new JitdbError("database.unknown", `${row.database_name} is no longer configured.`);
    }
    const proven = row.state === "created" ? users.assertSafe(row) : Promise.resolve();
    // Whoever has no use for the user any more need not wait for the proof.
    proven.catch(() => undefined);
    return {
      proven,
      state: row.state,
      userName: row.user_name,
      password: users.passwordOf(row),
      generation: row.generation,
      ...(row.last_error !== null && { problem: row.last_error }),
    };
  }

  /**
   * Gives the user of a grant another password, by making it again: the database has refused the one of this generation, as
   * the user has set one of its own (invariant 42), or its role is gone. Nothing happens where that was done already.
   */
  async renewPassword(
    grantId: GrantId,
    { generation }: Pick<GrantUser, "generation">,
  ): Promise<void> {
    const row = await this.#ledger.ofGrant(grantId);
    if (row?.generation === generation) {
      await this.#recorder.renewPassword(row);
    }
  }

  /**
   * How a grant on a profile can leave traces: each completes "A grant …", none is the good case. What the configuration
   * says as long as the database has not been asked.
   */
  waysToLeaveTraces(databaseName: string, profile: string): readonly string[] {
    const known = this.#ways.get(databaseName)?.byProfile[profile];
    const configured = this.#ports.config.databases.get(databaseName)?.profiles.get(profile);
    const can = configured?.privileges === "admin";
    return known ?? (can ? [`can make objects in ${configured.schemas.join(", ")}`] : []);
  }

  /** The statements that would make a person's user on a database that is configured, as the database is now. */
  async describeCreation(database: string, profile: string, person: string): Promise<Creation> {
    const key = [database, profile, person].join(" ");
    // SECURITY: one look at a time for each, or somebody who asks a hundred times takes the connections that end grants.
    const description =
      this.#descriptions.get(key) ??
      this.#describe(database, profile, person).finally(() => this.#descriptions.delete(key));
    this.#descriptions.set(key, description);
    return await description;
  }

  async #describe(database: string, profile: string, person: string): Promise<Creation> {
    const name = describeUserName(this.#ports.installation, person);
    try {
      const executor = required(this.#executors, database);
      return { statements: await executor.describeCreation({ name, profile }) };
    } catch (error) {
      const { message, code, detail } = toJitdbError(error);
      this.#ports.log.warn({ database, code, detail }, `could not describe a user: ${message}`);
      return { problem: message };
    }
  }

  async #learnWays(name: string, now: number): Promise<void> {
    const executor = this.#executors.get(name);
    if (executor === undefined || now - (this.#ways.get(name)?.at ?? 0) < serviceLimits.waysMs) {
      return;
    }
    try {
      this.#ways.set(name, { at: now, byProfile: await executor.waysToLeaveTraces() });
      this.#unseen.delete(name);
    } catch (error) {
      const { message, code, detail } = toJitdbError(error);
      // A database that is away is looked at again every few seconds.
      if (this.#unseen.get(name) !== message) {
        this.#unseen.set(name, message);
        const fields = { database: name, code, detail };
        this.#ports.log.warn(fields, `could not look at profiles: ${message}`);
      }
    }
  }

  /** A database was taken out of the configuration while users of it were alive: only a person can end them now. */
  async #strand(databaseName: string): Promise<void> {
    for (const row of await this.#ledger.claimEnds(databaseName, serviceLimits.strandedAtATime)) {
      const error = `${databaseName} is no longer configured, so its users cannot be ended.`;
      const name = `"${row.user_name}"`;
      const remedy = `DROP OWNED BY ${name};\nDROP ROLE ${name};\n`;
      if (row.state !== "quarantined") {
        const fields = { database: databaseName, user: row.user_name, grant: row.grant_id };
        this.#ports.log.error({ ...fields, error, remedy }, quarantinedMessage);
      }
      await this.#recorder.transition(row, "quarantined", {}, [
        { kind: "user.quarantined", error, remedy },
      ]);
      await this.#ledger.release(row.id, {
        last_error: error,
        remedy_sql: remedy,
        next_attempt_at: this.#ports.clock.now() + serviceLimits.strandedRetryMs,
      });
    }
  }

  #comparisonsOf(database: DatabaseConfig): Comparisons {
    const { config, store, trail, clock, log } = this.#ports;
    const { name, host, port } = database;
    const neighbours = [...config.databases.values()]
      .filter((other) => other.host === host && other.port === port)
      .map((other) => other.name);
    const executor = required(this.#executors, name);
    return new Comparisons({ name, neighbours, executor, store, trail, clock, log });
  }

  #users(database: DatabaseConfig): DatabaseUsers {
    const { config, installation, clock, crypto, log, sessions, afterStep } = this.#ports;
    return new DatabaseUsers({
      name: database.name,
      databaseName: database.database,
      installation,
      databaseKey: deriveDatabaseKey(config.masterKey, database.name),
      executor: required(this.#executors, database.name),
      ledger: this.#ledger,
      recorder: this.#recorder,
      clock,
      crypto,
      log,
      ownedBackends: async () => {
        await sessions.loginsSettled(database.name);
        return sessions.ownedBackends(database.name);
      },
      isDraining: (grantId) => sessions.isDraining(grantId),
      wake: () => this.#timer !== undefined && this.#background(),
      beforeCreate: (row) => required(this.#comparisons, database.name).begin(row),
      afterStep: afterStep ?? (async () => {}),
    });
  }

  #background(): void {
    const tick = this.tick()
      .catch((error: unknown) => this.#ports.log.error({ err: error }, "the ledger cannot be read"))
      .finally(() => this.#running.delete(tick));
    this.#running.add(tick);
  }
}

/** Everything that is wrong with a database's set-up, each with its fix; for `jitdb-server check`. */
export async function checkDatabase(
  engines: readonly Pick<Engine, "name" | "createExecutor">[],
  database: DatabaseConfig,
): Promise<readonly Problem[]> {
  const executor = createExecutor(engines, database);
  try {
    return await executor.inspect();
  } finally {
    await executor.close();
  }
}

function required<T>(map: ReadonlyMap<string, T>, name: string): T {
  const value = map.get(name);
  if (value === undefined) {
    throw new JitdbError("database.unknown", `${name} is not configured.`);
  }
  return value;
}

function createExecutor(
  engines: readonly Pick<Engine, "name" | "createExecutor">[],
  database: DatabaseConfig,
) {
  const engine = engines.find(({ name }) => name === database.engine);
  if (engine === undefined) {
    throw new JitdbError("config.invalid", `There is no engine called ${database.engine}.`);
  }
  return engine.createExecutor(database);
}
