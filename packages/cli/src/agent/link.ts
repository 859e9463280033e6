// One WebSocket bound to one TunnelSession: messages in, one message out per turn of the loop, signs of life.
// Knows nothing of reconnecting, grants or databases. Implements the agent's half of docs/tunnel-protocol.md.

import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import type { TunnelEvent } from "@jitdb/shared/tunnel/events";
import type { AuthMap, GoAwayMap, NoticeMap, OpenMap } from "@jitdb/shared/tunnel/maps";
import { TunnelSession } from "@jitdb/shared/tunnel/session";
import type { WebSocket } from "ws";
import { type AgentStream, type StreamReceiver, toStreamError } from "./stream.ts";

/** Limits of one WebSocket. */
export const linkLimits = {
  /** How often the other side is asked for a sign of life. */
  heartbeatMs: 15_000,
  /** Heartbeats without a byte from the other side until it counts as dead. Counted, not timed: a laptop may sleep. */
  maxSilentHeartbeats: 3,
  /** Bytes that the WebSocket may hold unsent before the session keeps the rest. */
  maxBufferedBytes: 1_048_576,
} as const;

/** What a link tells its owner. After `ended` nothing more comes. */
export interface LinkEvents {
  /** Streams can be opened from now on. */
  ready(): void;
  notice(notice: NoticeMap): void;
  /** The gateway opens no more streams here; those that live go on. */
  goingAway(goaway: GoAwayMap): void;
  ended(error: JitdbError): void;
}

export interface LinkOptions {
  readonly clock: Clock;
  readonly events: LinkEvents;
  /** Name and version of this program, for the server's log. */
  readonly software: string;
  /** See `linkLimits`. */
  readonly heartbeatMs?: number;
}

export class TunnelLink {
  readonly #socket: WebSocket;
  readonly #session: TunnelSession;
  readonly #clock: Clock;
  readonly #events: LinkEvents;
  readonly #receivers = new Map<number, StreamReceiver>();
  readonly #heartbeat: NodeJS.Timeout;
  #silentHeartbeats = 0;
  #isFlushScheduled = false;
  #isEnded = false;
  #goaway: GoAwayMap | undefined;

  /** Takes over an open, paused WebSocket and starts it. */
  constructor(socket: WebSocket, options: LinkOptions) {
    this.#socket = socket;
    this.#clock = options.clock;
    this.#events = options.events;
    this.#session = new TunnelSession({ role: "agent", software: options.software });
    socket.on("message", (data, isBinary) => this.#receive(data as Buffer, isBinary));
    socket.on("error", () => {
      // `close` follows with all that can be said.
    });
    socket.on("close", () => this.#end(this.#loss()));
    this.#heartbeat = setInterval(
      () => this.#beat(),
      options.heartbeatMs ?? linkLimits.heartbeatMs,
    );
    this.#scheduleFlush();
    socket.resume();
  }

  /**
   * Asks for a stream; comes after `ready`.
   * @throws JitdbError `tunnel.too_many_streams`, `tunnel.going_away`
   */
  open(map: OpenMap, receiver: StreamReceiver): AgentStream {
    const session = this.#session;
    const id = session.open(map);
    this.#receivers.set(id, receiver);
    this.#scheduleFlush();
    return {
      write: (bytes) => {
        const isWritable = session.write(id, bytes);
        this.#scheduleFlush();
        return isWritable;
      },
      consumed: (byteCount) => {
        session.consumed(id, byteCount);
        this.#scheduleFlush();
      },
      close: () => {
        session.close(id);
        this.#scheduleFlush();
      },
      reset: ({ code, message, hint }) => {
        this.#receivers.delete(id);
        session.reset(id, { code, message, hint });
        this.#scheduleFlush();
      },
    };
  }

  /** Renews the access token under the tunnel. */
  auth(map: AuthMap): void {
    this.#session.auth(map);
    this.#scheduleFlush();
  }

  /** Ends the link for good; streams that live end with `error`. */
  close(error: JitdbError): void {
    this.#flush();
    this.#socket.close(1000);
    this.#end(error);
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#isEnded) {
      return;
    }
    this.#silentHeartbeats = 0;
    try {
      if (!isBinary) {
        throw new JitdbError("tunnel.protocol", "The server sent a text message on the tunnel.");
      }
      for (const event of this.#session.receive(data, this.#clock.now())) {
        this.#handle(event);
      }
      this.#scheduleFlush();
    } catch (thrown) {
      const error = toJitdbError(thrown);
      this.#flush();
      this.#socket.close(error.forms.wsClose);
      this.#end(error);
    }
  }

  #handle(event: TunnelEvent): void {
    switch (event.type) {
      case "hello":
        this.#events.ready();
        return;
      case "notice":
        this.#events.notice(event.notice);
        return;
      case "goaway":
        this.#goaway = event.goaway;
        this.#events.goingAway(event.goaway);
        return;
      case "opened":
        this.#receivers.get(event.stream)?.opened();
        return;
      case "data":
        this.#receivers.get(event.stream)?.data(event.bytes);
        return;
      case "writable":
        this.#receivers.get(event.stream)?.writable();
        return;
      case "peerClosed":
        this.#receivers.get(event.stream)?.peerClosed();
        return;
      case "closed":
        this.#release(event.stream, undefined);
        return;
      case "reset":
        this.#release(event.stream, toStreamError(event.reset));
        return;
      case "auth":
      case "open":
      case "pong":
        // The session refuses the first two from a gateway; an answer to a ping is a sign of life, as any message is.
        return;
    }
  }

  #release(id: number, error: JitdbError | undefined): void {
    const receiver = this.#receivers.get(id);
    this.#receivers.delete(id);
    receiver?.ended(error);
  }

  #beat(): void {
    this.#silentHeartbeats += 1;
    if (this.#silentHeartbeats > linkLimits.maxSilentHeartbeats) {
      this.#socket.terminate();
      return;
    }
    this.#session.ping(this.#clock.now());
    this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    if (!this.#isFlushScheduled) {
      this.#isFlushScheduled = true;
      setImmediate(this.#flush);
    }
  }

  /** Sends what is due, as long as the WebSocket takes it; what stays in the session is bounded by its windows. */
  readonly #flush = (): void => {
    this.#isFlushScheduled = false;
    while (this.#hasRoom) {
      const chunks = this.#session.takeOutput();
      if (chunks === null) {
        return;
      }
      this.#socket.send(Buffer.concat(chunks), this.#onSent);
    }
  };

  readonly #onSent = (error?: Error | null): void => {
    if (!error) {
      this.#scheduleFlush();
    }
  };

  get #hasRoom(): boolean {
    const { readyState, OPEN, bufferedAmount } = this.#socket;
    return readyState === OPEN && bufferedAmount < linkLimits.maxBufferedBytes;
  }

  #loss(): JitdbError {
    return this.#goaway === undefined
      ? new JitdbError("tunnel.lost", "The connection to the server was lost.", {
          hint: "Connect again; jitdb restores its tunnel by itself.",
        })
      : toStreamError(this.#goaway);
  }

  #end(error: JitdbError): void {
    if (this.#isEnded) {
      return;
    }
    this.#isEnded = true;
    clearInterval(this.#heartbeat);
    for (const id of [...this.#receivers.keys()]) {
      this.#release(id, error);
    }
    this.#events.ended(error);
  }
}
