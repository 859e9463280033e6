// How a grant stands: follows it from its first look to its end. Notices of the tunnel, events and the clock are hints;
// what the server's API says counts, and where it can't be asked, the end that is known.

import type { GrantView } from "@jitdb/shared/api/access";
import { JitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import type { NoticeMap } from "@jitdb/shared/tunnel/maps";
import type { Api, EventFeed } from "../api.ts";

/** Limits of the watch. */
const watchLimits = {
  /** How often it is looked, should no hint come. */
  lookMs: 30_000,
  /** How long after its end by this machine's clock a grant that nobody can be asked about counts as over. */
  graceMs: 5000,
  /** Between looks around the end: clocks differ. */
  endLookMs: 1000,
} as const;

export interface GrantWatchPorts {
  readonly api: Pick<Api, "grant" | "watch">;
  readonly clock: Clock;
}

export class GrantWatch {
  /** Resolves with why the grant is over. */
  readonly ended: Promise<JitdbError>;
  readonly #ports: GrantWatchPorts;
  #grant: GrantView;
  #feed: EventFeed | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isLooking = false;
  #isClosed = false;
  readonly #end: (error: JitdbError) => void;

  /** Begins with a grant that is live. */
  constructor(grant: GrantView, ports: GrantWatchPorts) {
    this.#grant = grant;
    this.#ports = ports;
    const ends: { resolve?: (error: JitdbError) => void } = {};
    this.ended = new Promise((resolve) => {
      ends.resolve = resolve;
    });
    this.#end = (error) => {
      this.close();
      ends.resolve?.(error);
    };
    this.#schedule();
    void this.#openFeed();
  }

  /** The grant as it was last seen. */
  get grant(): GrantView {
    return this.#grant;
  }

  /** Milliseconds until its end by this machine's clock. */
  get leftMs(): number {
    return Math.max(0, Date.parse(this.#grant.endsAt) - this.#ports.clock.now());
  }

  /** A notice of the tunnel. */
  notice(notice: NoticeMap): void {
    if (notice.grant === this.#grant.id) {
      this.#grant = { ...this.#grant, endsAt: notice.expiresAt };
      this.look();
    }
  }

  /** Looks now; the same as a hint. */
  look(): void {
    if (!this.#isLooking && !this.#isClosed) {
      this.#isLooking = true;
      void this.#look();
    }
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#feed?.close();
  }

  async #look(): Promise<void> {
    try {
      this.#grant = await this.#ports.api.grant(this.#grant.id);
    } catch {
      // What can't be asked stands as it was last seen; the tunnel tells what is wrong with the server.
    }
    this.#isLooking = false;
    if (this.#isClosed) {
      return;
    }
    if (this.#isOver) {
      this.#end(describeEnd(this.#grant));
      return;
    }
    this.#schedule();
    void this.#openFeed();
  }

  /** A grant that has ended is not over while the server lets its sessions finish their transactions. */
  get #isOver(): boolean {
    const { state, endsAt, drainingUntil } = this.#grant;
    const lastsUntil = Date.parse(drainingUntil ?? endsAt) + watchLimits.graceMs;
    const isDraining = drainingUntil !== null;
    return (state === "ended" && !isDraining) || this.#ports.clock.now() > lastsUntil;
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const { lookMs, endLookMs } = watchLimits;
    const ms = Math.min(lookMs, Math.max(endLookMs, this.leftMs));
    this.#timer = setTimeout(() => this.look(), ms);
  }

  async #openFeed(): Promise<void> {
    if (this.#feed !== undefined && (this.#feed.open || this.#isClosed)) {
      return;
    }
    try {
      this.#feed = await this.#ports.api.watch((event) => {
        if (event.type !== "request.changed" && event.grant.id === this.#grant.id) {
          this.look();
        }
      });
      if (this.#isClosed) {
        this.#feed.close();
      }
    } catch {
      // Without events the regular look finds the same, later.
    }
  }
}

/** Why a grant that is over is over. */
export function describeEnd(grant: GrantView): JitdbError {
  const { database, end, endedBy, endReason } = grant;
  if (end !== "revoked") {
    return new JitdbError("grant.expired", `The time for ${database} is over.`, {
      hint: `Ask again with \`jitdb request ${database} --for 30m\`.`,
    });
  }
  const who = endedBy === null ? "" : ` by ${endedBy}`;
  const why = endReason === null || endReason === "" ? "." : `: ${endReason}`;
  return new JitdbError("grant.revoked", `The grant for ${database} was revoked${who}${why}`, {
    hint: `Talk to who revoked it, or ask again with \`jitdb request ${database} --for 30m\`.`,
  });
}
