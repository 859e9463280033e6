// Tells people in time that a grant is about to end, and that one got more time: the agent with NOTICE, the database's client
// in its own protocol. Hints are welcome; the store is asked anyway, and live sessions follow what it says.

import { formatDuration } from "@jitdb/shared/duration";
import type { Clock, GrantId, PersonId } from "@jitdb/shared/ids";
import type { NoticeMap } from "@jitdb/shared/tunnel/maps";
import type { Logger } from "pino";
import type { Store } from "../../store/store.ts";
import type { LiveSessions } from "../sessions/live-sessions.ts";
import type { Tunnel } from "./tunnel.ts";

/** In milliseconds. */
const timing = {
  /** Notices go out so long before the end. */
  before: [60_000, 300_000],
  /** How often the store is asked for grants that live: a lost hint costs so much. */
  refreshMs: 1000,
} as const;

/** A grant that lives. */
interface Running {
  readonly personId: PersonId;
  readonly databaseName: string;
  readonly startsAt: number;
  readonly endsAt: number;
  readonly drainMs: number;
}

export interface ExpiryNoticesPorts {
  readonly store: Pick<Store, "db">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly live: LiveSessions;
  readonly tunnels: ReadonlySet<Tunnel>;
}

export class ExpiryNotices {
  readonly #ports: ExpiryNoticesPorts;
  #running = new Map<GrantId, Running>();
  /** The last notice of a grant: so long before its end it was due. */
  readonly #told = new Map<GrantId, number>();
  #refreshedAt = Number.NEGATIVE_INFINITY;

  constructor(ports: ExpiryNoticesPorts) {
    this.#ports = ports;
  }

  /** Sends what is due. */
  tick(): void {
    const now = this.#ports.clock.now();
    for (const [grantId, running] of this.#running) {
      const remainingMs = running.endsAt - now;
      const due = dueNotice(remainingMs);
      // Whoever asked for three minutes knows it.
      const isWorthIt = remainingMs > 0 && running.endsAt - running.startsAt > due;
      if (isWorthIt && due < (this.#told.get(grantId) ?? Number.POSITIVE_INFINITY)) {
        this.#told.set(grantId, due);
        this.#tell(grantId, running, "expiring", `ends in ${minutes(remainingMs)}.`);
      }
    }
    if (Math.abs(now - this.#refreshedAt) >= timing.refreshMs && this.#ports.tunnels.size > 0) {
      this.#refreshedAt = now;
      this.refresh().catch((error: unknown) => {
        this.#ports.log.warn({ err: error }, "notices of grants that end soon may be missing");
      });
    }
  }

  /** Asks the store for the grants that live. Those that got more time end later from now on, and it is said. */
  async refresh(): Promise<void> {
    const rows = await this.#ports.store.db
      .selectFrom("grants")
      .select(["id", "person_id", "database_name", "starts_at", "ends_at", "drain_ms"])
      .where("state", "=", "active")
      .execute();
    const before = this.#running;
    this.#running = new Map();
    for (const row of rows) {
      const known = before.get(row.id);
      const running: Running = {
        personId: row.person_id,
        databaseName: row.database_name,
        startsAt: row.starts_at,
        // An answer that was overtaken by a newer one takes nothing back.
        endsAt: Math.max(row.ends_at, known?.endsAt ?? 0),
        drainMs: row.drain_ms,
      };
      this.#running.set(row.id, running);
      for (const { admission } of this.#ports.live.ofGrant(row.id)) {
        admission?.deadline.extend(running.endsAt);
      }
      if (known !== undefined && running.endsAt > known.endsAt) {
        this.#extended(row.id, running);
      }
    }
    for (const grantId of this.#told.keys()) {
      if (!this.#running.has(grantId)) {
        this.#told.delete(grantId);
      }
    }
  }

  /** To every tunnel of the person. */
  send(personId: PersonId, notice: NoticeMap): void {
    for (const tunnel of this.#ports.tunnels) {
      if (tunnel.caller.personId === personId) {
        tunnel.notice(notice);
      }
    }
  }

  #extended(grantId: GrantId, running: Running): void {
    const remainingMs = running.endsAt - this.#ports.clock.now();
    // Notices begin anew; the one that would be due at once is this one.
    this.#told.set(grantId, dueNotice(remainingMs));
    this.#tell(grantId, running, "extended", `was extended: it ends in ${minutes(remainingMs)}.`);
  }

  #tell(
    grantId: GrantId,
    { personId, databaseName, endsAt, drainMs }: Running,
    kind: "expiring" | "extended",
    what: string,
  ): void {
    const soft =
      drainMs > 0 ? ` A transaction that runs then has ${formatDuration(drainMs)} to finish.` : "";
    const message = `Access to ${databaseName} ${what}${soft}`;
    const expiresAt = new Date(endsAt).toISOString();
    this.send(personId, { kind, grant: grantId, expiresAt, message });
    const hint = `Ask for more time: jitdb request ${databaseName} --for 30m`;
    for (const { session } of this.#ports.live.ofGrant(grantId)) {
      session?.notify({ message, hint });
    }
  }
}

/** The notice that is due, by its time before the end; infinite: none. */
function dueNotice(remainingMs: number): number {
  return timing.before.find((before) => remainingMs <= before) ?? Number.POSITIVE_INFINITY;
}

/** To the minute, as people say it; the exact end is in the notice. */
function minutes(ms: number): string {
  return formatDuration(Math.ceil(ms / 60_000) * 60_000);
}
