// A client's request to cancel: looked up among the sessions of its own grant, and nowhere else (invariant 16).

import { setTimeout as delay } from "node:timers/promises";
import { toJitdbError } from "@jitdb/shared/errors";
import { createSessionId, type GrantId } from "@jitdb/shared/ids";
import type { OpenMap } from "@jitdb/shared/tunnel/maps";
import type { Caller } from "../../identity/caller.ts";
import type { StreamEnd } from "../tunnels/stream-end.ts";
import type { SessionPlace } from "./live-sessions.ts";
import type { OpenerPorts, SessionOpener } from "./open-session.ts";

/**
 * For what a client sent ahead, and has been handed to the database only now: a cancel that comes before its statement cancels nothing, and
 * by the client's order it came behind.
 */
const headStartMs = 100;

export class Canceller {
  readonly #ports: Pick<OpenerPorts, "journal" | "random" | "log" | "live">;
  readonly #opener: Pick<SessionOpener, "admit" | "settled">;

  constructor(
    ports: Pick<OpenerPorts, "journal" | "random" | "log" | "live">,
    opener: Pick<SessionOpener, "admit" | "settled">,
  ) {
    this.#ports = ports;
    this.#opener = opener;
  }

  /**
   * Never rejects. The client's stream is closed when the database has closed the connection that carried the request:
   * a client that goes on at once must not have its next statement cancelled.
   */
  async cancel(stream: StreamEnd, open: OpenMap, caller: Caller): Promise<void> {
    try {
      await this.#opener.admit(open, caller);
      // SECURITY: whether a key is known looks the same from outside, so keys can't be tried out.
      stream.opened(createSessionId(this.#ports.random));
      await this.#forward(open, caller);
      stream.close();
    } catch (error) {
      stream.reset(toJitdbError(error));
    }
  }

  async #forward(open: OpenMap, caller: Caller): Promise<void> {
    const place = await this.#find(open, caller);
    let reason = place === undefined ? "no session of this grant has the key" : undefined;
    try {
      await place?.session?.cancel();
    } catch (error) {
      const failure = toJitdbError(error);
      this.#ports.log.warn({ err: failure, session: place?.id }, "a statement was not cancelled");
      reason = failure.message;
    }
    this.#record(open, caller, place, reason);
  }

  /** Waits for what is about to open: a client that its agent greeted ahead may cancel before its session is open here. */
  async #find(open: OpenMap, caller: Caller): Promise<SessionPlace | undefined> {
    const grantId = open.grant as GrantId;
    const find = () =>
      this.#ports.live.ofGrant(grantId).find(({ live, session }) => {
        return live?.personId === caller.personId && session?.takesCancel(open.startup) === true;
      });
    const place = find();
    if (place !== undefined) {
      return place;
    }
    await this.#opener.settled(grantId);
    const opened = find();
    if (opened !== undefined) {
      await delay(headStartMs);
    }
    return opened;
  }

  #record(
    open: OpenMap,
    caller: Caller,
    place: SessionPlace | undefined,
    reason: string | undefined,
  ): void {
    try {
      this.#ports.journal.record({
        kind: "session.cancel",
        person: caller.name,
        device: caller.deviceId,
        grant: open.grant,
        database: place?.admission?.databaseName,
        session: place?.id,
        address: caller.address,
        forwarded: reason === undefined,
        ...(reason === undefined ? {} : { reason }),
      });
    } catch (error) {
      this.#ports.log.error({ err: error }, "a cancel request is not on record");
    }
  }
}
