// The sessions table: what lists of sessions show. Written behind the sessions' backs; nothing waits for it.

import type { Clock } from "@jitdb/shared/ids";
import type { Kysely } from "kysely";
import type { Logger } from "pino";
import type { AuditEvent, EventOf } from "../../audit/record.ts";
import type { Bus } from "../../bus.ts";
import type { Outbox } from "../../outbox/outbox.ts";
import type { Store } from "../../store/store.ts";
import type { Tables } from "../../store/tables.ts";
import type { LiveSession } from "./live-sessions.ts";

export interface SessionRowsPorts {
  readonly store: Store;
  readonly bus: Pick<Bus, "emit">;
  readonly outbox?: Pick<Outbox, "wants" | "add">;
  readonly clock: Clock;
  readonly log: Logger;
}

export class SessionRows {
  readonly #ports: SessionRowsPorts;
  /** One after the other: a session is never closed before it was opened. */
  #tail: Promise<void> = Promise.resolve();

  constructor(ports: SessionRowsPorts) {
    this.#ports = ports;
  }

  /** Closes the rows that a crash left open. Gives their number. */
  async reconcile(): Promise<number> {
    const { store, clock } = this.#ports;
    const closed = await store.db
      .updateTable("sessions")
      .set({ closed_at: clock.now(), end: "server_stopped" })
      .where("closed_at", "is", null)
      .returning("id")
      .execute();
    return closed.length;
  }

  /** `event`: what the journal has of it, for those outside who want it. */
  opened(live: LiveSession, event: EventOf<"session.opened">): void {
    this.#write(live, event, async (db) => {
      await db
        .insertInto("sessions")
        .values({
          id: live.id,
          grant_id: live.grantId,
          person_id: live.personId,
          device_id: live.deviceId,
          database_name: live.databaseName,
          profile: live.profile,
          user_name: live.userName,
          address: live.address,
          application: live.application,
          backend_pid: live.backendPid,
          opened_at: live.openedAt,
          closed_at: null,
          end: null,
          statements: 0,
        })
        .execute();
    });
  }

  closed(live: LiveSession, event: EventOf<"session.closed">): void {
    const closedAt = this.#ports.clock.now();
    const { end, statements } = event;
    this.#write(live, event, async (db) => {
      await db
        .updateTable("sessions")
        .set({ closed_at: closedAt, end, statements })
        .where("id", "=", live.id)
        .execute();
    });
  }

  /** Resolves when everything so far is written. */
  async drain(): Promise<void> {
    await this.#tail;
  }

  #write(
    { id }: LiveSession,
    event: AuditEvent,
    work: (db: Kysely<Tables>) => Promise<void>,
  ): void {
    const { store, outbox, bus, log } = this.#ports;
    const write = async () => {
      if (outbox?.wants(event.kind) !== true) {
        await work(store.db);
        return;
      }
      await store.transaction(async (tx) => {
        await work(tx);
        await outbox.add(tx, event);
      });
    };
    this.#tail = this.#tail.then(write).then(
      () => bus.emit({ type: "session", id }),
      // The journal has it all; a list that lacks a row is no reason to end a session.
      (error: unknown) => log.error({ err: error, session: id }, "a session's row was not written"),
    );
  }
}
