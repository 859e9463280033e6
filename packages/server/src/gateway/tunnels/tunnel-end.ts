// The gateway's end of one tunnel: a TunnelSession and the WebSocket that carries it now. Knows frames and streams, not what they
// are for. Outlives its WebSockets: without one it is parked, and its streams take what they are given up to their credit.

import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { Random } from "@jitdb/shared/ids";
import type { Secret } from "@jitdb/shared/secret";
import type { TunnelEvent } from "@jitdb/shared/tunnel/events";
import type { AuthMap, HelloMap, NoticeMap, OpenMap } from "@jitdb/shared/tunnel/maps";
import type { RecycledMemory } from "@jitdb/shared/tunnel/recycled-memory";
import { readResumeTicket } from "@jitdb/shared/tunnel/resumption";
import { TunnelSession } from "@jitdb/shared/tunnel/session";
import type { FastWebSocket } from "../../http/websockets/fast-websocket.ts";
import { version } from "../../version.ts";
import type { Sender, Turn } from "../turn.ts";
import { Announcements } from "./announcements.ts";
import { type StreamCarrier, StreamEnd } from "./stream-end.ts";

export interface TunnelEndOptions {
  /** How often the agent is asked for a sign of life. */
  readonly pingIntervalMs: number;
  /** Silence for so long after a question ends the tunnel. */
  readonly silenceMs: number;
  /** Bytes that may wait in the WebSocket; above, streams are stalled. */
  readonly maxBufferedBytes: number;
  /** Streams of one tunnel at a time. */
  readonly maxStreams: number;
}

/** A WebSocket whose first message asks for another tunnel. */
export interface Arrival {
  readonly ws: FastWebSocket;
  readonly message: Uint8Array;
  readonly ticket: Secret;
}

/** Whoever decides about what the agent asks. Must not throw. */
export interface TunnelOwner {
  hello(hello: HelloMap): void;
  /** True: another tunnel has taken the WebSocket over, and nothing more comes from this one. */
  handOver(arrival: Arrival): boolean;
  open(stream: StreamEnd, open: OpenMap): void;
  auth(auth: AuthMap): void;
  /** The WebSocket is lost, and streams live that another one may go on with. */
  parked(reason: string): void;
  /** The tunnel goes on; the agent has lost so many streams. */
  resumed(lost: number): void;
  /** The agent has answered on this WebSocket: it has the newest ticket. */
  confirmed(): void;
  /** The tunnel is over; all streams have heard of it. */
  closed(reason: string): void;
}

/** In milliseconds. */
const timing = {
  /** A peer that does not answer the closing handshake is cut off. */
  closeAfterMs: 1000,
  /** How often what has come is acknowledged, so that the agent need not keep it. */
  acknowledgeMs: 1000,
} as const;

/** Closes that the agent means: done, without a word, or because it met an error (RFC 6455 §7.4.1). Nobody would resume. */
const goodbyes: ReadonlySet<number> = new Set([1000, 1002, 1003, 1005, 1007, 1008, 1009]);

export class TunnelEnd implements Sender, StreamCarrier {
  readonly session: TunnelSession;
  readonly #turn: Turn;
  readonly memory: RecycledMemory;
  readonly announcements: Announcements;
  readonly #options: TunnelEndOptions;
  readonly #owner: TunnelOwner;
  readonly #streams = new Map<number, StreamEnd>();
  /** Undefined while parked. */
  #ws: FastWebSocket | undefined;
  /** The first message of the first WebSocket is here: until then nothing is said, because it may ask for another tunnel. */
  #hasHeard = false;
  #pings: NodeJS.Timeout | undefined;
  #acknowledgements: NodeJS.Timeout | undefined;
  #silence: NodeJS.Timeout | undefined;
  #isCongested = false;
  #isClosing = false;
  #isOver = false;
  #reason: string | undefined;
  #roundTripMs: number | undefined;

  constructor(
    ws: FastWebSocket,
    ticket: HelloMap["ticket"],
    ports: { readonly turn: Turn; readonly random: Random; readonly memory: RecycledMemory },
    options: TunnelEndOptions,
    owner: TunnelOwner,
  ) {
    this.#turn = ports.turn;
    this.memory = ports.memory;
    this.announcements = new Announcements(this, ports.random);
    this.#options = options;
    this.#owner = owner;
    this.session = new TunnelSession({
      role: "gateway",
      software: `jitdb-server ${version}`,
      maxStreams: options.maxStreams,
      ticket,
      recycle: (chunk) => this.memory.giveBack(chunk),
    });
    this.#bind(ws);
  }

  /** Goes on with a WebSocket that came for this tunnel; one that it still has is given up. */
  attach({ ws, message }: Pick<Arrival, "ws" | "message">, ticket: HelloMap["ticket"]): void {
    const last = this.#ws;
    this.#unbind();
    last?.terminate();
    this.session.detach();
    this.session.attach({ ticket });
    this.#reason = undefined;
    this.#bind(ws);
    // Its answer says that the agent has the new ticket.
    this.session.ping(performance.now());
    this.#onMessage(message, true);
  }

  get isParked(): boolean {
    return this.#ws === undefined && !this.#isOver;
  }

  /** Bytes that are kept for the agent. */
  get bufferedBytes(): number {
    return this.session.bufferedBytes;
  }

  get streams(): Iterable<StreamEnd> {
    return this.#streams.values();
  }

  get isCongested(): boolean {
    return this.#isCongested;
  }

  /** The newest measured, in milliseconds. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  schedule(): void {
    // Also while parked: the turn writes what sessions have on record.
    this.#turn.send(this);
  }

  forget(id: number): void {
    this.#streams.delete(id);
  }

  send(): void {
    const ws = this.#hasHeard || this.#isClosing ? this.#ws : undefined;
    while (ws !== undefined && ws.bufferedAmount < this.#options.maxBufferedBytes) {
      if (!this.#sendMessage(ws)) {
        this.#relieve();
        return;
      }
    }
    this.#isCongested = ws !== undefined;
  }

  notice(notice: NoticeMap): void {
    this.session.notice(notice);
    this.schedule();
  }

  /** Says why and ends the tunnel. What streams have to say goes out before, as far as the socket takes it. */
  close(error: JitdbError): void {
    if (!this.#isClosing) {
      this.session.goAway({ code: error.code, message: error.message, hint: error.hint });
      this.#end(error);
    }
  }

  #end(error: JitdbError): void {
    this.#isClosing = true;
    this.#reason ??= `${error.code}: ${error.message}`;
    const ws = this.#ws;
    if (ws === undefined) {
      this.#finish(this.#reason);
      return;
    }
    // At least one, also where the socket is full: frames of the tunnel stand first in it.
    this.#sendMessage(ws);
    this.send();
    ws.close(error.forms.wsClose);
    setTimeout(() => ws.terminate(), timing.closeAfterMs).unref();
  }

  #bind(ws: FastWebSocket): void {
    this.#ws = ws;
    ws.on("message", this.#onMessage);
    // What a peer does wrong below the protocol (frames, UTF-8, size); its close follows.
    ws.on("error", this.#onError);
    ws.on("close", this.#onClose);
    this.#pings = setInterval(() => this.#ping(), this.#options.pingIntervalMs).unref();
    this.#acknowledgements = setInterval(() => {
      this.session.acknowledge();
      this.schedule();
    }, timing.acknowledgeMs).unref();
  }

  #unbind(): void {
    clearInterval(this.#pings);
    clearInterval(this.#acknowledgements);
    clearTimeout(this.#silence);
    this.#silence = undefined;
    this.#isCongested = false;
    const ws = this.#ws;
    this.#ws = undefined;
    ws?.off("message", this.#onMessage);
    ws?.off("close", this.#onClose);
    // The listener for errors stays: a socket without one would end the process.
  }

  #sendMessage(ws: FastWebSocket): boolean {
    const chunks = this.session.takeOutput();
    if (chunks === null) {
      return false;
    }
    ws.sendChunks(chunks, () => this.#onSent(ws));
    return true;
  }

  /** Called for each message that was written; a failure ends in the WebSocket's close. */
  #onSent(ws: FastWebSocket): void {
    if (this.#isCongested && ws.bufferedAmount * 2 <= this.#options.maxBufferedBytes) {
      this.schedule();
      this.#relieve();
    }
  }

  /** The WebSocket takes more. Whoever finds that out tells the streams: those that wait for it hear of it in no other way. */
  #relieve(): void {
    if (this.#isCongested) {
      this.#isCongested = false;
      for (const stream of this.#streams.values()) {
        stream.tryResume();
      }
    }
  }

  readonly #onError = (error: Error): void => {
    this.#reason ??= error.message;
  };

  readonly #onMessage = (data: unknown, isBinary: boolean): void => {
    if (this.#isClosing) {
      return;
    }
    clearTimeout(this.#silence);
    this.#silence = undefined;
    let events: TunnelEvent[];
    try {
      if (!isBinary || !(data instanceof Uint8Array)) {
        throw new JitdbError("tunnel.protocol", "A text message came through the tunnel.");
      }
      if (!this.#hasHeard && this.#isForAnother(data)) {
        return;
      }
      this.#hasHeard = true;
      events = this.session.receive(data, performance.now());
    } catch (error) {
      this.#hasHeard = true;
      this.#fail(toJitdbError(error), isBinary);
      return;
    }
    for (const event of events) {
      if (!this.#isClosing) {
        this.#take(event);
      }
    }
    this.#ws?.memory.giveBack(data);
    // WINDOW, ACK and PING answers.
    this.schedule();
  };

  /** Lets another tunnel have the WebSocket, if its first message asks for one that there is. */
  #isForAnother(message: Uint8Array): boolean {
    const ws = this.#ws;
    const ticket = readResumeTicket(message);
    if (ws === undefined || ticket === undefined) {
      return false;
    }
    this.#unbind();
    if (this.#owner.handOver({ ws, message, ticket })) {
      this.#isClosing = true;
      this.#isOver = true;
      return true;
    }
    this.#bind(ws);
    return false;
  }

  #fail(error: JitdbError, hasSaidGoodbye: boolean): void {
    if (hasSaidGoodbye) {
      this.#end(error);
    } else {
      this.close(error);
    }
  }

  #take(event: TunnelEvent): void {
    switch (event.type) {
      case "hello":
        this.#owner.hello(event.hello);
        return;
      case "auth":
        this.#owner.auth(event.auth);
        return;
      case "open": {
        const stream = new StreamEnd(event.stream, this);
        this.#streams.set(event.stream, stream);
        this.#owner.open(stream, event.open);
        return;
      }
      case "pong":
        this.#roundTripMs = Math.round(event.roundTripMs);
        this.#owner.confirmed();
        return;
      case "resumed":
        this.#goOn(event.lost);
        return;
      case "data":
        this.#streams.get(event.stream)?.receive(event.bytes);
        return;
      case "writable":
        this.#streams.get(event.stream)?.credit();
        return;
      case "peerClosed":
        this.#streams.get(event.stream)?.peerClosed();
        return;
      case "closed":
        this.#streams.delete(event.stream);
        return;
      case "reset":
        this.#streams.get(event.stream)?.gone("client_closed");
        this.#streams.delete(event.stream);
        return;
      // The agent opens no more streams: nothing to do. The others never come to a gateway.
      case "goaway":
      case "opened":
      case "notice":
      case "spare":
      case "spent":
        return;
    }
  }

  /** What waited for room in the last WebSocket has it in this one. */
  #goOn(lost: number): void {
    this.#owner.resumed(lost);
    for (const stream of this.#streams.values()) {
      stream.tryResume();
    }
  }

  #ping(): void {
    this.session.ping(performance.now());
    this.schedule();
    // Any message is a sign of life: the answer itself may have to wait behind data on a slow path.
    this.#silence ??= setTimeout(() => {
      this.#reason ??= "the agent fell silent";
      this.#ws?.terminate();
    }, this.#options.silenceMs).unref();
  }

  readonly #onClose = (code: number): void => {
    this.#unbind();
    const reason = this.#reason ?? `the agent closed it (${code})`;
    const isIdle = this.#streams.size === 0 && !this.announcements.areOpen;
    if (this.#isClosing || goodbyes.has(code) || isIdle) {
      this.#finish(reason);
      return;
    }
    this.session.detach();
    this.#owner.parked(reason);
  };

  #finish(reason: string): void {
    if (this.#isOver) {
      return;
    }
    this.#isOver = true;
    this.#isClosing = true;
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) {
      stream.gone("tunnel_lost");
    }
    this.#owner.closed(reason);
  }
}
