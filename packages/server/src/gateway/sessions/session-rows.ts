// The sessions table: what lists of sessions show. Written behind the sessions' backs, and together: each write of the store waits for
// the disk, and whoever asks the store meanwhile waits with it.

import type { Clock, SessionId } from "@jitdb/shared/ids";
import type { Insertable } from "kysely";
import type { Logger } from "pino";
import type { EventOf } from "../../audit/record.ts";
import type { Bus } from "../../bus.ts";
import type { Outbox } from "../../outbox/outbox.ts";
import type { Store } from "../../store/store.ts";
import type { Tables } from "../../store/tables.ts";
import type { LiveSession } from "./live-sessions.ts";

export interface SessionRowsPorts {
  readonly store: Pick<Store, "transaction" | "db">;
  readonly bus: Pick<Bus, "emit">;
  readonly outbox?: Pick<Outbox, "wants" | "add">;
  readonly clock: Clock;
  readonly log: Logger;
}

type Row = Insertable<Tables["sessions"]>;
type Closing = Pick<Row, "closed_at" | "end" | "statements">;
type SessionEvent = EventOf<"session.opened"> | EventOf<"session.closed">;

/** What happened within this time is written together; a crash may cost lists as much, and the journal has it all. */
const restMs = 250;
/** Rows of one statement: SQLite has a limit for its parameters. */
const rowsAtOnce = 500;

export class SessionRows {
  readonly #ports: SessionRowsPorts;
  #opened = new Map<SessionId, Row>();
  #closed = new Map<SessionId, Closing>();
  /** What somebody outside wants to hear of them, in order. */
  #events: SessionEvent[] = [];
  #timer: NodeJS.Timeout | undefined;
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

  /** `event`: what the journal has of it. */
  opened(live: LiveSession, event: EventOf<"session.opened">): void {
    this.#opened.set(live.id, {
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
    });
    this.#note(event);
  }

  closed({ id }: LiveSession, event: EventOf<"session.closed">): void {
    const { end, statements } = event;
    const closing = { closed_at: this.#ports.clock.now(), end, statements };
    const row = this.#opened.get(id);
    if (row === undefined) {
      this.#closed.set(id, closing);
    } else {
      this.#opened.set(id, { ...row, ...closing });
    }
    this.#note(event);
  }

  /** Resolves when everything so far is written. */
  async drain(): Promise<void> {
    this.#write();
    await this.#tail;
  }

  #note(event: SessionEvent): void {
    if (this.#ports.outbox?.wants(event.kind) === true) {
      this.#events.push(event);
    }
    this.#timer ??= setTimeout(() => this.#write(), restMs);
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const [opened, closed, events] = [this.#opened, this.#closed, this.#events];
    if (opened.size + closed.size === 0) {
      return;
    }
    this.#opened = new Map();
    this.#closed = new Map();
    this.#events = [];
    const { bus, log } = this.#ports;
    this.#tail = this.#tail
      .then(() => this.#store([...opened.values()], closed, events))
      .then(
        () => {
          for (const id of [...opened.keys(), ...closed.keys()]) {
            bus.emit({ type: "session", id });
          }
        },
        // The journal has it all; a list that lacks rows is no reason to end sessions.
        (error: unknown) =>
          log.error({ err: error, opened: opened.size }, "rows of sessions were not written"),
      );
  }

  async #store(
    opened: readonly Row[],
    closed: ReadonlyMap<SessionId, Closing>,
    events: readonly SessionEvent[],
  ): Promise<void> {
    const { store, outbox } = this.#ports;
    await store.transaction(async (tx) => {
      for (let start = 0; start < opened.length; start += rowsAtOnce) {
        const rows = opened.slice(start, start + rowsAtOnce);
        await tx.insertInto("sessions").values(rows).execute();
      }
      for (const [id, closing] of closed) {
        await tx.updateTable("sessions").set(closing).where("id", "=", id).execute();
      }
      for (const event of events) {
        await outbox?.add(tx, event);
      }
    });
  }
}
