// The gateway's end of one tunnel: a TunnelSession bound to a WebSocket. Knows frames and streams, not what they are for.

import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { Clock } from "@jitdb/shared/ids";
import type { TunnelEvent } from "@jitdb/shared/tunnel/events";
import type { AuthMap, HelloMap, NoticeMap, OpenMap } from "@jitdb/shared/tunnel/maps";
import { TunnelSession } from "@jitdb/shared/tunnel/session";
import type { WebSocket } from "ws";
import { version } from "../../version.ts";
import type { Sender, Turn } from "../turn.ts";
import type { MessageBuffers } from "./message-buffers.ts";
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

/** Whoever decides about what the agent asks. Must not throw. */
export interface TunnelOwner {
  hello(hello: HelloMap): void;
  open(stream: StreamEnd, open: OpenMap): void;
  auth(auth: AuthMap): void;
  /** The WebSocket is closed; all streams have heard of it. */
  closed(reason: string): void;
}

/** In milliseconds: a peer that does not answer the closing handshake is cut off. */
const closeAfterMs = 1000;

export class TunnelEnd implements Sender, StreamCarrier {
  readonly session: TunnelSession;
  readonly #ws: WebSocket;
  readonly #turn: Turn;
  readonly #clock: Clock;
  readonly #buffers: MessageBuffers;
  readonly #options: TunnelEndOptions;
  readonly #owner: TunnelOwner;
  readonly #streams = new Map<number, StreamEnd>();
  readonly #pings: NodeJS.Timeout;
  #silence: NodeJS.Timeout | undefined;
  #isCongested = false;
  #isClosing = false;
  #reason: string | undefined;
  #roundTripMs: number | undefined;

  constructor(
    ws: WebSocket,
    ports: { readonly turn: Turn; readonly clock: Clock; readonly buffers: MessageBuffers },
    options: TunnelEndOptions,
    owner: TunnelOwner,
  ) {
    this.#ws = ws;
    this.#turn = ports.turn;
    this.#clock = ports.clock;
    this.#buffers = ports.buffers;
    this.#options = options;
    this.#owner = owner;
    this.session = new TunnelSession({
      role: "gateway",
      software: `jitdb-server ${version}`,
      maxStreams: options.maxStreams,
    });
    this.#pings = setInterval(() => this.#ping(), options.pingIntervalMs).unref();
    ws.on("message", (data, isBinary) => this.#onMessage(data, isBinary));
    // What a peer does wrong below the protocol (frames, UTF-8, size); its close follows.
    ws.on("error", (error) => {
      this.#reason ??= error.message;
    });
    ws.on("close", (code) => this.#onClose(code));
    this.schedule();
  }

  get isCongested(): boolean {
    return this.#isCongested;
  }

  /** The newest measured, in milliseconds. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  schedule(): void {
    this.#turn.send(this);
  }

  forget(id: number): void {
    this.#streams.delete(id);
  }

  send(): void {
    while (this.#ws.bufferedAmount < this.#options.maxBufferedBytes) {
      if (!this.#sendMessage()) {
        this.#isCongested = false;
        return;
      }
    }
    this.#isCongested = true;
  }

  notice(notice: NoticeMap): void {
    this.session.notice(notice);
    this.schedule();
  }

  /** Says why and closes the WebSocket. What streams have to say goes out before, as far as the socket takes it. */
  close(error: JitdbError): void {
    if (!this.#isClosing) {
      this.session.goAway({ code: error.code, message: error.message, hint: error.hint });
      this.#end(error);
    }
  }

  #end(error: JitdbError): void {
    this.#isClosing = true;
    this.#reason ??= `${error.code}: ${error.message}`;
    // At least one, also where the socket is full: frames of the tunnel stand first in it.
    this.#sendMessage();
    this.send();
    this.#ws.close(error.forms.wsClose);
    setTimeout(() => this.#ws.terminate(), closeAfterMs).unref();
  }

  #sendMessage(): boolean {
    const chunks = this.session.takeOutput();
    if (chunks === null) {
      return false;
    }
    const { message, release } = this.#buffers.join(chunks);
    this.#ws.send(message, () => {
      release();
      this.#onSent();
    });
    return true;
  }

  /** Called for each message that was written; a failure ends in the WebSocket's close. */
  #onSent(): void {
    if (this.#isCongested && this.#ws.bufferedAmount * 2 <= this.#options.maxBufferedBytes) {
      this.#isCongested = false;
      this.schedule();
      for (const stream of this.#streams.values()) {
        stream.tryResume();
      }
    }
  }

  #onMessage(data: unknown, isBinary: boolean): void {
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
      events = this.session.receive(data, this.#clock.now());
    } catch (error) {
      this.#fail(toJitdbError(error), isBinary);
      return;
    }
    for (const event of events) {
      if (!this.#isClosing) {
        this.#take(event);
      }
    }
    // WINDOW, ACK and PING answers.
    this.schedule();
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
        this.#roundTripMs = event.roundTripMs;
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
        return;
    }
  }

  #ping(): void {
    this.session.ping(this.#clock.now());
    this.schedule();
    // Any message is a sign of life: the answer itself may have to wait behind data on a slow path.
    this.#silence ??= setTimeout(() => {
      this.#reason ??= "the agent fell silent";
      this.#ws.terminate();
    }, this.#options.silenceMs).unref();
  }

  #onClose(code: number): void {
    this.#isClosing = true;
    clearInterval(this.#pings);
    clearTimeout(this.#silence);
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    for (const stream of streams) {
      stream.gone("tunnel_lost");
    }
    this.#owner.closed(this.#reason ?? `the agent closed it (${code})`);
  }
}
