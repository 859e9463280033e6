// Tells people in time that a grant is about to end: the agent with NOTICE, the database's client in its own protocol.

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
  /** How often the store is asked for grants that are about to end. */
  refreshMs: 10_000,
} as const;

interface Ending {
  readonly personId: PersonId;
  readonly databaseName: string;
  readonly startsAt: number;
  readonly endsAt: number;
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
  #endings = new Map<GrantId, Ending>();
  /** The last notice of a grant: so long before its end it was due. */
  readonly #told = new Map<GrantId, number>();
  #refreshedAt = Number.NEGATIVE_INFINITY;

  constructor(ports: ExpiryNoticesPorts) {
    this.#ports = ports;
  }

  /** Sends what is due. */
  tick(): void {
    const now = this.#ports.clock.now();
    for (const [grantId, ending] of this.#endings) {
      const remainingMs = ending.endsAt - now;
      const due = timing.before.find((before) => remainingMs <= before);
      const isNews =
        due !== undefined && due < (this.#told.get(grantId) ?? Number.POSITIVE_INFINITY);
      // Whoever asked for three minutes knows it.
      if (isNews && remainingMs > 0 && ending.endsAt - ending.startsAt > due) {
        this.#told.set(grantId, due);
        this.#tell(grantId, ending, remainingMs);
      }
    }
    if (Math.abs(now - this.#refreshedAt) >= timing.refreshMs && this.#ports.tunnels.size > 0) {
      this.#refreshedAt = now;
      this.#refresh(now).catch((error: unknown) => {
        this.#ports.log.warn({ err: error }, "notices of grants that end soon may be missing");
      });
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

  #tell(grantId: GrantId, { personId, databaseName, endsAt }: Ending, remainingMs: number): void {
    // To the minute, as people say it; the exact end is in the notice.
    const remaining = formatDuration(Math.ceil(remainingMs / 60_000) * 60_000);
    const message = `Access to ${databaseName} ends in ${remaining}.`;
    const expiresAt = new Date(endsAt).toISOString();
    this.send(personId, { kind: "expiring", grant: grantId, expiresAt, message });
    for (const { session } of this.#ports.live.ofGrant(grantId)) {
      session?.notify(message, `Ask for more time: jitdb request ${databaseName} --for 30m`);
    }
  }

  async #refresh(now: number): Promise<void> {
    const rows = await this.#ports.store.db
      .selectFrom("grants")
      .select(["id", "person_id", "database_name", "starts_at", "ends_at"])
      .where("state", "=", "active")
      .where("ends_at", ">", now)
      .where("ends_at", "<=", now + Math.max(...timing.before) + timing.refreshMs)
      .execute();
    this.#endings = new Map(
      rows.map((row) => [
        row.id,
        {
          personId: row.person_id,
          databaseName: row.database_name,
          startsAt: row.starts_at,
          endsAt: row.ends_at,
        },
      ]),
    );
    for (const grantId of this.#told.keys()) {
      if (!this.#endings.has(grantId)) {
        this.#told.delete(grantId);
      }
    }
  }
}
