// Writes down what happens to ephemeral users: the ledger's change and its audit record in one transaction.

import type { Kysely } from "kysely";
import type { AuditEvent, Subject } from "../audit/record.ts";
import type { Trail } from "../audit/trail.ts";
import type { Store } from "../store/store.ts";
import type { EphemeralUserState, Tables } from "../store/tables.ts";
import type { BackendRef, EndStep, StepResult, TerminateResult } from "./executor.ts";
import type { Ledger, LedgerRow } from "./ledger.ts";

/** Events of a transition, without what the ledger's row says itself. */
type TransitionEvent =
  | { readonly kind: "user.created"; readonly oid: number }
  | { readonly kind: "user.draining"; readonly until: string }
  | { readonly kind: "user.locked"; readonly latenessMs: number }
  | { readonly kind: "user.dropped"; readonly latenessMs: number }
  | { readonly kind: "user.quarantined"; readonly error: string; readonly remedy: string };

export interface UserRecorderPorts {
  readonly store: Store;
  readonly ledger: Ledger;
  readonly trail: Trail;
  /** Is told that a record could not reach the journal yet; it stays staged. */
  readonly onTrailError: (error: unknown) => void;
}

export class UserRecorder {
  readonly #ports: UserRecorderPorts;

  constructor(ports: UserRecorderPorts) {
    this.#ports = ports;
  }

  /** Moves a row on and stages the events of it; nothing at all if the row was not to be moved. */
  async transition(
    row: LedgerRow,
    state: EphemeralUserState,
    fields: Parameters<Ledger["advance"]>[2],
    events: readonly TransitionEvent[],
  ): Promise<void> {
    const { store, ledger, trail } = this.#ports;
    await store.transaction(async (tx) => {
      if (!(await ledger.within(tx).advance(row.id, state, fields))) {
        return;
      }
      const subject = await subjectOf(tx, row);
      for (const event of events) {
        await trail.stage(tx, { ...subject, user: row.user_name, profile: row.profile, ...event });
      }
    });
    await this.#drain();
  }

  /** Plans a user again with its next password, unless that has happened already. */
  async renewPassword(row: LedgerRow): Promise<void> {
    const { store, ledger, trail } = this.#ports;
    await store.transaction(async (tx) => {
      const renewed = await ledger.within(tx).renewPassword(row);
      if (renewed !== undefined) {
        const { user_name: user, profile, generation } = renewed;
        const subject = await subjectOf(tx, row);
        await trail.stage(tx, {
          kind: "user.password_renewed",
          ...subject,
          user,
          profile,
          generation,
        });
      }
    });
    await this.#drain();
  }

  /** The database has a later end. */
  async extended(row: LedgerRow, validUntil: number): Promise<void> {
    const subject = await subjectOf(this.#ports.store.db, row);
    const { user_name: user, profile } = row;
    await this.#stage({
      kind: "user.extended",
      ...subject,
      user,
      profile,
      validUntil: new Date(validUntil).toISOString(),
    });
  }

  /** What a step of the end did, where it did anything. */
  async step(row: LedgerRow, step: EndStep, result: StepResult): Promise<void> {
    const subject = await subjectOf(this.#ports.store.db, row);
    await this.#stage(toEvent(step, result, { ...subject, user: row.user_name }));
  }

  /** The same for a user that the ledger does not know. */
  async orphanStep(
    database: string,
    user: string,
    step: EndStep,
    result: StepResult,
  ): Promise<void> {
    const event =
      step === "drop" && result.did.length > 0
        ? ({ kind: "user.dropped", database, user } as const)
        : toEvent(step, result, { database, user });
    await this.#stage(event);
  }

  async strangerTerminated(database: string, backend: BackendRef): Promise<void> {
    const { store } = this.#ports;
    const row = await store.db
      .selectFrom("ephemeral_users")
      .selectAll()
      .where("user_name", "=", backend.user)
      .executeTakeFirst();
    const subject = row === undefined ? { database } : await subjectOf(store.db, row);
    const clientAddress =
      backend.clientAddress === null ? {} : { clientAddress: backend.clientAddress };
    await this.#stage({
      kind: "user.stranger_terminated",
      ...subject,
      user: backend.user,
      pid: backend.pid,
      ...clientAddress,
    });
  }

  async #stage(event: AuditEvent | undefined): Promise<void> {
    if (event !== undefined) {
      await this.#ports.trail.stage(this.#ports.store.db, event);
      await this.#drain();
    }
  }

  /** The end of access waits for no disk: what cannot reach the journal now stays staged in the store. */
  async #drain(): Promise<void> {
    try {
      await this.#ports.trail.drain();
    } catch (error) {
      this.#ports.onTrailError(error);
    }
  }
}

function toEvent(
  step: EndStep,
  result: StepResult,
  about: Subject & { readonly user: string },
): AuditEvent | undefined {
  if (result.did.length === 0) {
    return undefined;
  }
  switch (step) {
    case "terminate":
      return {
        kind: "user.terminated",
        ...about,
        backends: (result as TerminateResult).terminated,
      };
    case "rollbackPrepared":
    case "clean":
      return { kind: "user.cleaned", ...about, steps: result.did };
    case "lock":
    case "drop":
    case "verify":
      // The ledger's own transitions say so.
      return undefined;
  }
}

async function subjectOf(db: Kysely<Tables>, row: LedgerRow): Promise<Subject> {
  const grant = await db
    .selectFrom("grants")
    .innerJoin("people", "people.id", "grants.person_id")
    .select(["people.name", "grants.device_id"])
    .where("grants.id", "=", row.grant_id)
    .executeTakeFirst();
  return {
    person: grant?.name,
    device: grant?.device_id,
    database: row.database_name,
    grant: row.grant_id,
  };
}
