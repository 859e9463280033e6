// The agent's end of one tunnel: a TunnelSession and the WebSocket that carries it now. Messages in, one message out per turn of the loop,
// signs of life. Outlives its WebSockets; whoever makes them is its owner. Knows nothing of reconnecting, grants or databases.
// Implements the agent's half of docs/tunnel-protocol.md.

import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { TunnelEvent } from "@jitdb/shared/tunnel/events";
import type {
  AuthMap,
  GoAwayMap,
  HelloMap,
  NoticeMap,
  OpenMap,
  SpareMap,
} from "@jitdb/shared/tunnel/maps";
import type { RecycledMemory } from "@jitdb/shared/tunnel/recycled-memory";
import { TunnelSession } from "@jitdb/shared/tunnel/session";
import type { FastWebSocket } from "../network/fast-websocket.ts";
import { AnnouncedSessions } from "./announced-sessions.ts";
import { type AgentStream, type StreamReceiver, toStreamError } from "./stream.ts";

/** Limits of one WebSocket. */
export const linkLimits = {
  /** How often the other side is asked for a sign of life. */
  heartbeatMs: 3000,
  /** Heartbeats without a byte from the other side until it counts as dead. Counted, not timed: a laptop may sleep. */
  maxSilentHeartbeats: 3,
  /** How often what has come is acknowledged, so that the other side need not keep it. */
  acknowledgeMs: 1000,
  /** Bytes that the WebSocket may hold unsent before the session keeps the rest. */
  maxBufferedBytes: 1_048_576,
} as const;

/** What a link tells its owner. After `ended` nothing more comes. */
export interface LinkEvents {
  /** Streams can be opened from now on. On a later WebSocket, so many that lived could not go on. */
  ready(lost: number): void;
  notice(notice: NoticeMap): void;
  /** The gateway opens no more streams here; those that live go on. */
  goingAway(goaway: GoAwayMap): void;
  /** The WebSocket is gone; streams wait for `attach`. */
  lost(error: JitdbError): void;
  ended(error: JitdbError): void;
}

export interface LinkOptions {
  readonly events: LinkEvents;
  /** Name and version of this program, for the server's log. */
  readonly software: string;
  /** See `linkLimits`. */
  readonly heartbeatMs?: number;
}

export class TunnelLink {
  readonly #session: TunnelSession;
  readonly #events: LinkEvents;
  readonly #heartbeatMs: number;
  readonly #receivers = new Map<number, StreamReceiver>();
  readonly #announced = new AnnouncedSessions();
  /** Undefined between two WebSockets. */
  #socket: FastWebSocket | undefined;
  #heartbeat: NodeJS.Timeout | undefined;
  #acknowledgements: NodeJS.Timeout | undefined;
  #silentHeartbeats = 0;
  #isFlushScheduled = false;
  /** The WebSocket has enough to write. */
  #isCongested = false;
  /** Messages of which somebody still has parts, by their memory. */
  readonly #lent = new WeakMap<ArrayBufferLike, LentMessage>();
  #isEnded = false;
  /** What the next WebSocket resumes the tunnel with. */
  #ticket: HelloMap["ticket"];
  #isFirst = true;
  #goaway: GoAwayMap | undefined;

  /** Takes over an open, paused WebSocket and starts it. */
  constructor(socket: FastWebSocket, options: LinkOptions) {
    this.#events = options.events;
    this.#heartbeatMs = options.heartbeatMs ?? linkLimits.heartbeatMs;
    this.#session = new TunnelSession({ role: "agent", software: options.software });
    this.#bind(socket);
  }

  /** How long the gateway keeps the tunnel without a WebSocket, in milliseconds; 0: not at all. */
  get parkedMs(): number {
    return this.#ticket?.parkedMs ?? 0;
  }

  /** Streams that live. */
  get streamCount(): number {
    return this.#receivers.size;
  }

  /** Goes on with another open, paused WebSocket, after `lost`. */
  attach(socket: FastWebSocket): void {
    if (this.#ticket === undefined || this.#isEnded) {
      socket.terminate();
      return;
    }
    // A WebSocket that was lost before it was heard of.
    this.#unbind()?.terminate();
    this.#session.detach();
    this.#session.attach({ resume: this.#ticket.value });
    this.#bind(socket);
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
      consumed: (bytes) => {
        session.consumed(id, bytes.byteLength);
        this.#giveBack(bytes);
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

  /** A session that the gateway has announced for a client like this: `open` names it, and the client is greeted with it. */
  takeAnnounced(map: OpenMap): SpareMap | undefined {
    return this.#announced.take(map);
  }

  /** Renews the access token under the tunnel. */
  auth(map: AuthMap): void {
    this.#session.auth(map);
    this.#scheduleFlush();
  }

  /** Ends the link for good; streams that live end with `error`. */
  close(error: JitdbError): void {
    this.#flush();
    this.#socket?.close(1000);
    this.#end(error);
  }

  /** Gives the present WebSocket up, as if it were lost. */
  drop(): void {
    this.#socket?.terminate();
  }

  #bind(socket: FastWebSocket): void {
    this.#socket = socket;
    this.#silentHeartbeats = 0;
    socket.on("message", this.#receive);
    socket.on("error", this.#ignore);
    socket.on("close", this.#lose);
    this.#heartbeat = setInterval(() => this.#beat(), this.#heartbeatMs);
    this.#acknowledgements = setInterval(() => {
      this.#session.acknowledge();
      this.#scheduleFlush();
    }, linkLimits.acknowledgeMs);
    this.#scheduleFlush();
    socket.resume();
  }

  #unbind(): FastWebSocket | undefined {
    clearInterval(this.#heartbeat);
    clearInterval(this.#acknowledgements);
    this.#announced.clear();
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.off("message", this.#receive);
    socket?.off("close", this.#lose);
    return socket;
  }

  /** `close` follows with all that can be said. */
  readonly #ignore = (): void => undefined;

  readonly #lose = (): void => {
    this.#unbind();
    if (this.#isEnded) {
      return;
    }
    const error = this.#loss();
    if (this.#ticket === undefined || this.#goaway !== undefined) {
      this.#end(error);
      return;
    }
    this.#session.detach();
    this.#events.lost(error);
  };

  readonly #receive = (data: unknown, isBinary: boolean): void => {
    if (this.#isEnded) {
      return;
    }
    this.#silentHeartbeats = 0;
    try {
      if (!isBinary) {
        throw new JitdbError("tunnel.protocol", "The server sent a text message on the tunnel.");
      }
      const message = data as Buffer;
      const events = this.#session.receive(message, performance.now());
      this.#lend(message, events);
      for (const event of events) {
        this.#handle(event);
      }
      this.#giveBack(message);
      this.#scheduleFlush();
    } catch (thrown) {
      const error = toJitdbError(thrown);
      this.#flush();
      this.#socket?.close(error.forms.wsClose);
      this.#end(error);
    }
  };

  /** Counts who has a part of the message: this method's caller, and each receiver that is given one. */
  #lend(message: Uint8Array, events: readonly TunnelEvent[]): void {
    const memory = this.#socket?.memory;
    if (memory?.isLent(message) !== true) {
      return;
    }
    let parts = 1;
    for (const event of events) {
      parts += event.type === "data" && event.bytes.buffer === message.buffer ? 1 : 0;
    }
    this.#lent.set(message.buffer, { message, memory, parts });
  }

  /** Somebody has done with a part. Parts that nobody gives back, of a stream that is over, are left to the garbage collector. */
  #giveBack(part: Uint8Array): void {
    const lent = this.#lent.get(part.buffer);
    if (lent === undefined) {
      return;
    }
    lent.parts -= 1;
    if (lent.parts === 0) {
      this.#lent.delete(part.buffer);
      lent.memory.giveBack(lent.message);
    }
  }

  #handle(event: TunnelEvent): void {
    switch (event.type) {
      case "hello":
        this.#greeted(event.hello);
        return;
      case "resumed":
        this.#events.ready(event.lost);
        return;
      case "notice":
        this.#events.notice(event.notice);
        return;
      case "spare":
        this.#announced.add(event.spare);
        return;
      case "spent":
        this.#announced.delete(event.spent.id);
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

  #greeted({ ticket }: HelloMap): void {
    this.#ticket = ticket;
    if (this.#isFirst) {
      this.#isFirst = false;
      this.#events.ready(0);
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
      this.#socket?.terminate();
      return;
    }
    this.#session.ping(performance.now());
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
    this.#isCongested = false;
    const socket = this.#socket;
    while (socket !== undefined && hasRoom(socket)) {
      const chunks = this.#session.takeOutput();
      if (chunks === null) {
        return;
      }
      socket.sendChunks(chunks, this.#onSent);
    }
    this.#isCongested = socket !== undefined;
  };

  readonly #onSent = (): void => {
    if (this.#isCongested) {
      this.#scheduleFlush();
    }
  };

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
    clearInterval(this.#acknowledgements);
    for (const id of [...this.#receivers.keys()]) {
      this.#release(id, error);
    }
    this.#events.ended(error);
  }
}

/** A message in memory that is used again once nobody has a part of it. */
interface LentMessage {
  readonly message: Uint8Array;
  readonly memory: RecycledMemory;
  parts: number;
}

function hasRoom({ readyState, OPEN, bufferedAmount }: FastWebSocket): boolean {
  return readyState === OPEN && bufferedAmount < linkLimits.maxBufferedBytes;
}
