// The sessions table: what lists of sessions show. Written behind the sessions' backs; nothing waits for it.

import type { Clock } from "@jitdb/shared/ids";
import type { Logger } from "pino";
import type { Bus } from "../../bus.ts";
import type { SessionSummary } from "../../engines/engine.ts";
import type { Store } from "../../store/store.ts";
import type { LiveSession } from "./live-sessions.ts";

export interface SessionRowsPorts {
  readonly store: Pick<Store, "db">;
  readonly bus: Pick<Bus, "emit">;
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

  opened(live: LiveSession): void {
    this.#write(live, async () => {
      await this.#ports.store.db
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

  closed(live: LiveSession, { end, statements }: SessionSummary): void {
    const closedAt = this.#ports.clock.now();
    this.#write(live, async () => {
      await this.#ports.store.db
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

  #write({ id }: LiveSession, work: () => Promise<void>): void {
    const { bus, log } = this.#ports;
    this.#tail = this.#tail.then(work).then(
      () => bus.emit({ type: "session", id }),
      // The journal has it all; a list that lacks a row is no reason to end a session.
      (error: unknown) => log.error({ err: error, session: id }, "a session's row was not written"),
    );
  }
}
