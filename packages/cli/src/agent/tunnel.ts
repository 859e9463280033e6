// The agent's tunnel: one WebSocket at a time, made again with growing pauses when it is lost. Streams that live wait for the next one
// and go on there, as long as the server keeps them; new ones wait, too. Renews the access token underneath, so that a grant's life
// does not depend on a token's.

import { type ErrorCode, JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { Clock, Random } from "@jitdb/shared/ids";
import type { Secret } from "@jitdb/shared/secret";
import type { NoticeMap } from "@jitdb/shared/tunnel/maps";
import type { Authorization } from "../login/tokens.ts";
import type { FastWebSocket } from "../network/fast-websocket.ts";
import { TunnelLink } from "./link.ts";
import { comesBack, Opening } from "./opening.ts";
import { type Pending, pending } from "./pending.ts";
import { type OpenStream, toStreamError } from "./stream.ts";

export const tunnelPath = "/api/v1/tunnel";
export const tunnelSubprotocol = "jitdb.tunnel.v1";

/** Limits of the tunnel's upkeep. */
export const tunnelTimes = {
  /** Pause before the second new attempt, the first comes at once; doubled for each further one. */
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
  readonly connect: () => Promise<FastWebSocket>;
  /** The present access token with a proof for the tunnel's handshake. */
  readonly authorize: () => Promise<Authorization>;
  readonly clock: Clock;
  readonly random: Random;
  readonly software: string;
}

/** What a tunnel tells its owner. */
export interface TunnelEvents {
  notice(notice: NoticeMap): void;
  /** The WebSocket is gone; another one is being made. Streams that live wait for it where `isKept` says so, else they have ended. */
  lost(error: JitdbError, isKept: boolean): void;
  /** It is there, after so many milliseconds; so many streams that lived could not go on. */
  restored(awayMs: number, lostStreams: number): void;
  /** No further attempt is made: the server is gone for too long, or the login is over. */
  failed(error: JitdbError): void;
}

export type TunnelTimes = { readonly [Name in keyof typeof tunnelTimes]: number };

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
  /** While a WebSocket is being made: settles when the server has answered on it. */
  #greeting: Pending<number> | undefined;
  /** Why there is no link; undefined while nobody had to know. */
  #absence: JitdbError | undefined;
  #token: Secret | undefined;
  #renewal: NodeJS.Timeout | undefined;
  /** Ends the streams that wait longer than the server keeps them. */
  #patience: NodeJS.Timeout | undefined;
  #lostAt = 0;
  /** Streams that ended because they waited too long. */
  #givenUp = 0;

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
      const map = { engine, kind, grant, startup };
      return new Opening(link, map, receiver, this.#times.answerTimeoutMs);
    };
  }

  /** Ends the tunnel; streams that live end with `error`. */
  close(error: JitdbError): void {
    if (!this.#closing.signal.aborted) {
      this.#closing.abort();
      clearInterval(this.#renewal);
      clearTimeout(this.#patience);
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

  /** Gives the number of streams that lived and could not go on. */
  async #connect(): Promise<number> {
    // Before the handshake: should it take a newer token, the next look sends that once more, which harms nothing.
    this.#token = (await this.#ports.authorize()).accessToken;
    const socket = await this.#ports.connect();
    if (this.#closing.signal.aborted) {
      socket.terminate();
      throw new JitdbError("local.interrupted", "The agent has ended.");
    }
    const first = pending<number>();
    this.#greeting = first;
    const link = this.#link ?? this.#createLink(socket);
    if (this.#link === link) {
      link.attach(socket);
    }
    const timer = setTimeout(() => {
      const error = new JitdbError("server.unsuitable", "The server did not open the tunnel.");
      first.reject(error);
      link.drop();
    }, this.#times.helloTimeoutMs);
    try {
      const lost = await first.promise;
      this.#link = link;
      this.#isReady = true;
      this.#ready.resolve(link);
      return lost;
    } catch (error) {
      if (this.#link !== link) {
        link.close(toJitdbError(error));
      }
      throw error;
    } finally {
      clearTimeout(timer);
      this.#greeting = undefined;
    }
  }

  #createLink(socket: FastWebSocket): TunnelLink {
    const link: TunnelLink = new TunnelLink(socket, {
      ...this.#ports,
      events: {
        ready: (lost) => this.#greeting?.resolve(lost),
        notice: (notice) => this.#events.notice(notice),
        goingAway: (goaway) => this.#holdBack(link, toStreamError(goaway)),
        lost: (error) => this.#lose(link, error),
        ended: (error) => this.#bury(link, error),
      },
    });
    return link;
  }

  /** New clients wait from now on for the WebSocket that comes after this one. */
  #holdBack(link: TunnelLink, why: JitdbError): void {
    if (this.#link === link && this.#isReady) {
      this.#isReady = false;
      this.#absence = why;
      this.#ready = pending();
    }
  }

  /** The WebSocket is gone, and its streams wait. */
  #lose(link: TunnelLink, error: JitdbError): void {
    // Before it was heard of: whoever makes it tries again.
    if (this.#greeting !== undefined) {
      this.#greeting.reject(error);
      return;
    }
    if (this.#link !== link || this.#closing.signal.aborted) {
      return;
    }
    this.#holdBack(link, error);
    clearTimeout(this.#patience);
    this.#lostAt = this.#ports.clock.now();
    this.#patience = setTimeout(() => this.#giveUp(error), link.parkedMs);
    this.#events.lost(error, true);
    void this.#reconnect();
  }

  /** The link is over, all streams with it. */
  #bury(link: TunnelLink, error: JitdbError): void {
    if (this.#greeting !== undefined) {
      this.#greeting.reject(error);
    }
    if (this.#link !== link || this.#closing.signal.aborted) {
      return;
    }
    const wasReady = this.#isReady || this.#greeting === undefined;
    this.#holdBack(link, error);
    this.#link = undefined;
    if (finalCodes.has(error.code)) {
      this.#fail(error);
    } else if (wasReady && this.#patience === undefined) {
      this.#lostAt = this.#ports.clock.now();
      this.#events.lost(error, false);
      void this.#reconnect();
    }
  }

  /** The server keeps the streams no longer. A new tunnel is still looked for. */
  #giveUp(error: JitdbError): void {
    const link = this.#link;
    this.#link = undefined;
    this.#givenUp += link?.streamCount ?? 0;
    link?.close(new JitdbError("tunnel.lost", error.message, { hint: comesBack }));
  }

  async #reconnect(): Promise<void> {
    const { firstPauseMs, longestPauseMs, maxAttempts } = this.#times;
    for (let attempt = 1; ; attempt += 1) {
      if (attempt > 1) {
        await this.#pause(Math.min(firstPauseMs * 2 ** (attempt - 2), longestPauseMs));
      }
      if (this.#closing.signal.aborted) {
        return;
      }
      try {
        const lostStreams = (await this.#connect()) + this.#givenUp;
        this.#givenUp = 0;
        clearTimeout(this.#patience);
        this.#patience = undefined;
        this.#events.restored(Math.max(0, this.#ports.clock.now() - this.#lostAt), lostStreams);
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
    clearTimeout(this.#patience);
    this.#ready.reject(error);
    const link = this.#link;
    this.#link = undefined;
    link?.close(error);
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

function isSame(one: Secret, other: Secret | undefined): boolean {
  return one.reveal() === other?.reveal();
}
