// The agent's tunnel: one WebSocket at a time, made again with growing pauses when it is lost. Streams that lived end with
// it; new ones wait for the next. Renews the access token underneath, so that a grant's life does not depend on a token's.

import { formatDuration } from "@jitdb/shared/duration";
import { type ErrorCode, JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { Clock, Random } from "@jitdb/shared/ids";
import type { Secret } from "@jitdb/shared/secret";
import type { NoticeMap, OpenMap } from "@jitdb/shared/tunnel/maps";
import type { WebSocket } from "ws";
import type { Authorization } from "../login/tokens.ts";
import { TunnelLink } from "./link.ts";
import { pending } from "./pending.ts";
import { type AgentStream, type OpenStream, type StreamReceiver, toStreamError } from "./stream.ts";

export const tunnelPath = "/api/v1/tunnel";
export const tunnelSubprotocol = "jitdb.tunnel.v1";

/** Limits of the tunnel's upkeep. */
export const tunnelTimes = {
  /** Pause before the first new attempt; doubled for each further one. */
  firstPauseMs: 500,
  longestPauseMs: 15_000,
  /** Attempts in a row until the server counts as gone: about two minutes. Counted, not timed: a laptop may sleep. */
  maxAttempts: 12,
  /** From the open WebSocket to the server's HELLO. */
  helloTimeoutMs: 10_000,
  /** How long a new client waits for a tunnel that is being made again. */
  openTimeoutMs: 15_000,
  /** From an OPEN to the server's answer: twice what it takes itself at the longest. */
  answerTimeoutMs: 30_000,
  /** How often it is looked after the access token; tokens are renewed a minute before their end. */
  renewalMs: 15_000,
} as const;

export interface TunnelPorts {
  /** A new WebSocket to the tunnel's path: authorised, open, paused. */
  readonly connect: () => Promise<WebSocket>;
  /** The present access token with a proof for the tunnel's handshake. */
  readonly authorize: () => Promise<Authorization>;
  readonly clock: Clock;
  readonly random: Random;
  readonly software: string;
}

/** What a tunnel tells its owner. */
export interface TunnelEvents {
  notice(notice: NoticeMap): void;
  /** The WebSocket is gone, all streams with it; another one is being made. */
  lost(error: JitdbError): void;
  restored(): void;
  /** No further attempt is made: the server is gone for too long, or the login is over. */
  failed(error: JitdbError): void;
}

export type TunnelTimes = { readonly [Name in keyof typeof tunnelTimes]: number };

const comesBack = "jitdb keeps trying to reach it; connect again in a moment.";

/** Errors that no further attempt would mend. */
const finalCodes: ReadonlySet<ErrorCode> = new Set([
  "login.required",
  "login.expired",
  "login.denied",
  "login.disabled",
  "server.insecure",
  "server.none",
]);

export class Tunnel {
  readonly #ports: TunnelPorts;
  readonly #events: TunnelEvents;
  readonly #times: TunnelTimes;
  readonly #closing = new AbortController();
  #link: TunnelLink | undefined;
  /** Settles when a link is there that takes new streams, or none will come. */
  #ready = pending<TunnelLink>();
  #isReady = false;
  /** Why there is no link; undefined while nobody had to know. */
  #absence: JitdbError | undefined;
  #token: Secret | undefined;
  #renewal: NodeJS.Timeout | undefined;

  constructor(ports: TunnelPorts, events: TunnelEvents, times: TunnelTimes = tunnelTimes) {
    this.#ports = ports;
    this.#events = events;
    this.#times = times;
  }

  /** Makes the first connection. @throws JitdbError `server.*`, `login.*`, `tunnel.*` */
  async start(): Promise<void> {
    await this.#connect();
    this.#renewal = setInterval(() => void this.#renew(), this.#times.renewalMs);
  }

  /**
   * An `OpenStream` for one grant. It rejects with JitdbError `server.*`, `login.*` or `tunnel.*` where no tunnel comes up in
   * time; a stream that the server does not answer in time ends with `tunnel.lost`.
   */
  opener(engine: "postgres", grant: string): OpenStream {
    return async (kind, startup, receiver) => {
      const link = await this.#readyLink();
      return openInTime(
        link,
        { engine, kind, grant, startup },
        receiver,
        this.#times.answerTimeoutMs,
      );
    };
  }

  /** Ends the tunnel; streams that live end with `error`. */
  close(error: JitdbError): void {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort();
      clearInterval(this.#renewal);
      this.#ready.reject(error);
      this.#link?.close(error);
    }
  }

  async #readyLink(): Promise<TunnelLink> {
    const late = pending<never>();
    const timer = setTimeout(() => late.reject(this.#away()), this.#times.openTimeoutMs);
    try {
      return await Promise.race([this.#ready.promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** What a client is told that has waited long enough. */
  #away(): JitdbError {
    const { code, message } =
      this.#absence ?? new JitdbError("tunnel.lost", "The server can't be reached right now.");
    return new JitdbError(code, message, { hint: comesBack });
  }

  async #connect(): Promise<void> {
    // Before the handshake: should it take a newer token, the next look sends that once more, which harms nothing.
    this.#token = (await this.#ports.authorize()).accessToken;
    const socket = await this.#ports.connect();
    const first = pending<TunnelLink>();
    let isReady = false;
    const link: TunnelLink = new TunnelLink(socket, {
      ...this.#ports,
      events: {
        ready: () => {
          isReady = true;
          first.resolve(link);
        },
        notice: (notice) => this.#events.notice(notice),
        goingAway: (goaway) => this.#holdBack(link, toStreamError(goaway)),
        ended: (error) => (isReady ? this.#lose(link, error) : first.reject(error)),
      },
    });
    const timer = setTimeout(
      () => link.close(new JitdbError("server.unsuitable", "The server did not open the tunnel.")),
      this.#times.helloTimeoutMs,
    );
    try {
      await first.promise;
    } finally {
      clearTimeout(timer);
    }
    if (this.#closing.signal.aborted) {
      link.close(new JitdbError("local.interrupted", "The agent has ended."));
      return;
    }
    this.#link = link;
    this.#isReady = true;
    this.#ready.resolve(link);
  }

  /** New clients wait from now on for the link that comes after this one. */
  #holdBack(link: TunnelLink, why: JitdbError): void {
    if (this.#link === link && this.#isReady) {
      this.#isReady = false;
      this.#absence = why;
      this.#ready = pending();
    }
  }

  #lose(link: TunnelLink, error: JitdbError): void {
    if (this.#link !== link || this.#closing.signal.aborted) {
      return;
    }
    this.#holdBack(link, error);
    this.#link = undefined;
    if (finalCodes.has(error.code)) {
      this.#fail(error);
      return;
    }
    this.#events.lost(error);
    void this.#reconnect();
  }

  async #reconnect(): Promise<void> {
    const { firstPauseMs, longestPauseMs, maxAttempts } = this.#times;
    for (let attempt = 1; ; attempt += 1) {
      await this.#pause(Math.min(firstPauseMs * 2 ** (attempt - 1), longestPauseMs));
      if (this.#closing.signal.aborted) {
        return;
      }
      try {
        await this.#connect();
        this.#events.restored();
        return;
      } catch (thrown) {
        const error = toJitdbError(thrown);
        this.#absence = error;
        if (finalCodes.has(error.code) || attempt === maxAttempts) {
          this.#fail(error);
          return;
        }
      }
    }
  }

  /** Half of the pause is left to chance, so that the agents of a server that restarts do not come all at once. */
  async #pause(ms: number): Promise<void> {
    const [chance = 0] = this.#ports.random.bytes(1);
    const over = pending<void>();
    const timer = setTimeout(over.resolve, (ms / 2) * (1 + chance / 255));
    this.#closing.signal.addEventListener("abort", () => over.resolve(), { once: true });
    await over.promise;
    clearTimeout(timer);
  }

  #fail(error: JitdbError): void {
    clearInterval(this.#renewal);
    this.#ready.reject(error);
    this.#events.failed(error);
  }

  async #renew(): Promise<void> {
    const link = this.#link;
    try {
      const { accessToken, proof } = await this.#ports.authorize();
      if (link !== undefined && link === this.#link && !isSame(accessToken, this.#token)) {
        this.#token = accessToken;
        link.auth({ accessToken, proof });
      }
    } catch {
      // Tried again at the next look; if the token ends before one succeeds, the server ends the tunnel and says why.
    }
  }
}

/** Opens a stream that ends by itself if the server neither lets it in nor refuses it: a database client would wait for ever. */
function openInTime(
  link: TunnelLink,
  map: OpenMap,
  receiver: StreamReceiver,
  timeoutMs: number,
): AgentStream {
  const timer = setTimeout(() => {
    const why = `The server has not answered within ${formatDuration(timeoutMs)}.`;
    const error = new JitdbError("tunnel.lost", why, { hint: comesBack });
    stream.reset(error);
    receiver.ended(error);
  }, timeoutMs);
  const stream = link.open(map, {
    opened: () => {
      clearTimeout(timer);
      receiver.opened();
    },
    data: (bytes) => receiver.data(bytes),
    writable: () => receiver.writable(),
    peerClosed: () => receiver.peerClosed(),
    ended: (error) => {
      clearTimeout(timer);
      receiver.ended(error);
    },
  });
  return {
    ...stream,
    reset: (error) => {
      clearTimeout(timer);
      stream.reset(error);
    },
  };
}

function isSame(one: Secret, other: Secret | undefined): boolean {
  return one.reveal() === other?.reveal();
}
