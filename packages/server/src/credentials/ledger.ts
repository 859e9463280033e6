// The ledger: every ephemeral user ever planned, and where it is in its life. A row is written before the user is made.
// Each change is one conditional UPDATE … RETURNING; who works on a row holds its lease.

import {
  type Clock,
  createEphemeralUserId,
  type EphemeralUserId,
  type GrantId,
  type Random,
} from "@jitdb/shared/ids";
import {
  type Kysely,
  type Selectable,
  type SelectQueryBuilder,
  sql,
  type Updateable,
} from "kysely";
import type { EphemeralUserState, Tables } from "../store/tables.ts";
import { createUserName } from "./names.ts";

export type LedgerRow = Selectable<Tables["ephemeral_users"]>;
type Candidates = SelectQueryBuilder<Tables, "ephemeral_users", { id: EphemeralUserId }>;
type LedgerFields = Updateable<Tables["ephemeral_users"]>;

/** Milliseconds. */
export const ledgerLimits = {
  /** Longer than any step of an executor takes; each step renews it. */
  leaseMs: 60_000,
} as const;

/** When a row was taken that its holder has; epoch ms. */
export function claimedAt({ leased_until }: LedgerRow): number {
  return leased_until - ledgerLimits.leaseMs;
}

/** From where a user may go where. Back to planned: it has to be made again, with another password or because it vanished. */
export const nextUserStates: Readonly<Record<EphemeralUserState, readonly EphemeralUserState[]>> = {
  planned: ["created", "locked", "dropped", "quarantined"],
  created: ["planned", "draining", "locked", "dropped", "quarantined"],
  draining: ["locked", "dropped", "quarantined"],
  locked: ["dropped", "quarantined"],
  quarantined: ["dropped"],
  dropped: [],
};

/**
 * Those in which a user may still exist. Asked for one by one: whoever asks for all but "dropped" has the store read every user that has ever
 * been, five times a second.
 */
const livingStates = (Object.keys(nextUserStates) as EphemeralUserState[]).filter(
  (state) => state !== "dropped",
);

export interface UserPlan {
  readonly grantId: GrantId;
  /** Name of the database in the configuration. */
  readonly databaseName: string;
  readonly profile: string;
  /** Becomes part of the user's name. */
  readonly personName: string;
  /** The installation's id, 1–5 of [a-z0-9]. */
  readonly installation: string;
  /** Id of the master key in force. */
  readonly keyId: string;
  /** The grant's end, epoch ms. */
  readonly validUntil: number;
  /** How long behind that its sessions may finish what they run; absent: not at all. */
  readonly drainMs?: number;
}

/** Plans the user of a grant; call it in the transaction that inserts the grant. Making it is the service's work. */
export async function planUser(
  tx: Kysely<Tables>,
  plan: UserPlan,
  ports: { readonly clock: Clock; readonly random: Random },
): Promise<{ readonly id: EphemeralUserId; readonly userName: string }> {
  const id = createEphemeralUserId(ports.random);
  const userName = createUserName(ports.random, plan.installation, plan.personName);
  const now = ports.clock.now();
  await tx
    .insertInto("ephemeral_users")
    .values({
      id,
      grant_id: plan.grantId,
      database_name: plan.databaseName,
      user_name: userName,
      profile: plan.profile,
      generation: 1,
      key_id: plan.keyId,
      oid: null,
      state: "planned",
      valid_until: plan.validUntil,
      end_due_at: null,
      drain_ms: plan.drainMs ?? 0,
      attempts: 0,
      next_attempt_at: now,
      leased_by: null,
      leased_until: 0,
      last_error: null,
      remedy_sql: null,
      created_at: now,
      dropped_at: null,
    })
    .execute();
  return { id, userName };
}

/** One server's view of the ledger. */
export class Ledger {
  readonly #db: Kysely<Tables>;
  readonly #clock: Clock;
  readonly #owner: string;

  /** @param owner names this process in leases; unique */
  constructor(db: Kysely<Tables>, clock: Clock, owner: string) {
    this.#db = db;
    this.#clock = clock;
    this.#owner = owner;
  }

  /** The same ledger inside a transaction. */
  within(tx: Kysely<Tables>): Ledger {
    return new Ledger(tx, this.#clock, this.#owner);
  }

  /** Hands users whose time is over to the loop of the end, whether or not anybody has ended their grants. */
  async markDue(): Promise<void> {
    const now = this.#clock.now();
    await this.#db
      .updateTable("ephemeral_users")
      .set(({ ref }) => ({ end_due_at: ref("valid_until") }))
      .where("end_due_at", "is", null)
      .where("valid_until", "<=", now)
      .where("state", "in", livingStates)
      // A grant that got more time is not over because its user has not heard of it yet.
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom("grants")
              .select("grants.id")
              .whereRef("grants.id", "=", "ephemeral_users.grant_id")
              .where("grants.state", "=", "active")
              .where("grants.ends_at", ">", now),
          ),
        ),
      )
      .execute();
  }

  /** Takes users of a database whose grants got more time than the database was told. */
  async claimExtensions(databaseName: string, limit: number): Promise<readonly LedgerRow[]> {
    return await this.#claim(
      this.#claimable(databaseName)
        .where("state", "in", ["planned", "created"])
        .where("end_due_at", "is", null)
        .where(({ exists, selectFrom }) =>
          exists(
            selectFrom("grants")
              .select("grants.id")
              .whereRef("grants.id", "=", "ephemeral_users.grant_id")
              .whereRef("grants.ends_at", ">", "ephemeral_users.valid_until")
              .where("grants.state", "=", "active"),
          ),
        )
        .orderBy("valid_until")
        .limit(limit),
    );
  }

  /** When the grant of a user ends, as the store has it now. */
  async endOfGrant({ grant_id }: LedgerRow): Promise<number> {
    const { ends_at } = await this.#db
      .selectFrom("grants")
      .select("ends_at")
      .where("id", "=", grant_id)
      .executeTakeFirstOrThrow();
    return ends_at;
  }

  /** Takes users of a database whose end is due, the longest due first. */
  async claimEnds(databaseName: string, limit: number): Promise<readonly LedgerRow[]> {
    return await this.#claim(
      this.#claimable(databaseName)
        .where("state", "in", livingStates)
        .where("end_due_at", "<=", this.#clock.now())
        .orderBy("end_due_at")
        .limit(limit),
    );
  }

  /** Takes users of a database that are to be made; never one whose time is over. */
  async claimStarts(databaseName: string, limit: number): Promise<readonly LedgerRow[]> {
    const now = this.#clock.now();
    return await this.#claim(
      this.#claimable(databaseName)
        .where("state", "=", "planned")
        .where("end_due_at", "is", null)
        .where("valid_until", ">", now)
        .where(({ exists, selectFrom }) =>
          exists(
            selectFrom("grants")
              .select("grants.id")
              .whereRef("grants.id", "=", "ephemeral_users.grant_id")
              .where("grants.starts_at", "<=", now),
          ),
        )
        .orderBy("created_at")
        .limit(limit),
    );
  }

  /** Keeps the lease on a row while it is worked on; false if somebody else has it by now. */
  async renew(id: EphemeralUserId): Promise<boolean> {
    return await this.#update(id, { leased_until: this.#clock.now() + ledgerLimits.leaseMs });
  }

  /** Moves a row of ours on, from any state that leads there, and keeps the lease; false if nothing was to move. */
  async advance(
    id: EphemeralUserId,
    state: EphemeralUserState,
    fields: LedgerFields = {},
  ): Promise<boolean> {
    const from = Object.entries(nextUserStates).filter(([, next]) => next.includes(state));
    const moved = await this.#db
      .updateTable("ephemeral_users")
      .set({ ...fields, state })
      .where("id", "=", id)
      .where("leased_by", "=", this.#owner)
      .where(
        "state",
        "in",
        from.map(([name]) => name as EphemeralUserState),
      )
      .returning("id")
      .executeTakeFirst();
    return moved !== undefined;
  }

  /** Lets go of a row of ours. */
  async release(id: EphemeralUserId, fields: LedgerFields = {}): Promise<void> {
    await this.#update(id, { ...fields, leased_by: null, leased_until: 0 });
  }

  /** Lets go of every row, whoever holds it. Only for the start of a server that is the store's only one. */
  async releaseAll(): Promise<void> {
    await this.#db
      .updateTable("ephemeral_users")
      .set({ leased_by: null, leased_until: 0 })
      .where("leased_by", "is not", null)
      .execute();
  }

  /** Gives users whose passwords came from a lost master key new ones, by making them again. */
  async adoptKey(keyId: string): Promise<void> {
    await this.#db
      .updateTable("ephemeral_users")
      .set(({ eb, ref }) => ({
        state: "planned",
        key_id: keyId,
        generation: eb(ref("generation"), "+", 1),
        next_attempt_at: this.#clock.now(),
      }))
      .where("state", "in", ["planned", "created"])
      .where("end_due_at", "is", null)
      .where("key_id", "!=", keyId)
      .execute();
  }

  /** Plans a user again whose role has vanished from its database. */
  async replan(userName: string): Promise<boolean> {
    const replanned = await this.#db
      .updateTable("ephemeral_users")
      .set({ state: "planned", oid: null, next_attempt_at: this.#clock.now() })
      .where("user_name", "=", userName)
      .where("state", "=", "created")
      .where("end_due_at", "is", null)
      .where("leased_until", "<=", this.#clock.now())
      .returning("id")
      .executeTakeFirst();
    return replanned !== undefined;
  }

  /** Plans a user again, with its next password; undefined where it has another one than this already, or its end is due. */
  async renewPassword({ id, generation }: LedgerRow): Promise<LedgerRow | undefined> {
    return await this.#db
      .updateTable("ephemeral_users")
      .set({
        state: "planned",
        generation: generation + 1,
        next_attempt_at: this.#clock.now(),
      })
      .where("id", "=", id)
      .where("generation", "=", generation)
      .where("state", "=", "created")
      .where("end_due_at", "is", null)
      .where("leased_until", "<=", this.#clock.now())
      .returningAll()
      .executeTakeFirst();
  }

  /** Every user of a database that may still exist. */
  async living(databaseName: string): Promise<readonly LedgerRow[]> {
    return await this.#db
      .selectFrom("ephemeral_users")
      .selectAll()
      .where("database_name", "=", databaseName)
      .where("state", "in", livingStates)
      .execute();
  }

  /**
   * The databases in which users may still exist, by name, and whether something may have to be done for one of them. One question instead
   * of four for each database, as nearly always nothing is.
   */
  async inhabited(): Promise<ReadonlyMap<string, "due" | "at rest">> {
    const { rows } = await sql<{ readonly name: string; readonly due: number }>`
      select users.database_name as name, max(
        case when users.state <> 'created' or users.end_due_at is not null or users.valid_until <= ${this.#clock.now()}
          or grants.ends_at > users.valid_until then 1 else 0 end
      ) as due
      from ephemeral_users as users left join grants on grants.id = users.grant_id
      where users.state in (${sql.join(livingStates)})
      group by users.database_name`.execute(this.#db);
    return new Map(rows.map(({ name, due }) => [name, due === 1 ? "due" : "at rest"]));
  }

  async ofGrant(grantId: GrantId): Promise<LedgerRow | undefined> {
    return await this.#db
      .selectFrom("ephemeral_users")
      .selectAll()
      .where("grant_id", "=", grantId)
      .executeTakeFirst();
  }

  #claimable(databaseName: string) {
    const now = this.#clock.now();
    return this.#db
      .selectFrom("ephemeral_users")
      .select("id")
      .where("database_name", "=", databaseName)
      .where("next_attempt_at", "<=", now)
      .where("leased_until", "<=", now);
  }

  async #claim(candidates: Candidates): Promise<readonly LedgerRow[]> {
    const now = this.#clock.now();
    return await this.#db
      .updateTable("ephemeral_users")
      .set({ leased_by: this.#owner, leased_until: now + ledgerLimits.leaseMs })
      .where("id", "in", candidates)
      // Again, outside the sub-query: of two servers that chose the same row, the second finds it leased.
      .where("leased_until", "<=", now)
      .returningAll()
      .execute();
  }

  async #update(id: EphemeralUserId, fields: LedgerFields): Promise<boolean> {
    const updated = await this.#db
      .updateTable("ephemeral_users")
      .set(fields)
      .where("id", "=", id)
      .where("leased_by", "=", this.#owner)
      .returning("id")
      .executeTakeFirst();
    return updated !== undefined;
  }
}
