// One end of a tunnel: messages in, events out; what is to be sent is taken with `takeOutput`. Knows frames, maps and streams;
// has never heard of a WebSocket, a clock or a database. Implements docs/tunnel-protocol.md §5 to §8.

import { JitdbError, toJitdbError } from "../errors.ts";
import type { TunnelEvent } from "./events.ts";
import {
  type DataFrame,
  decodeFrames,
  type Frame,
  frameLayouts,
  type MapFrame,
  type PingFrame,
  type PositionFrame,
} from "./frame.ts";
import { tunnelLimits } from "./limits.ts";
import {
  type AuthMap,
  decodeMap,
  encodeMap,
  type GoAwayMap,
  type HelloMap,
  type NoticeMap,
  type OpenedMap,
  type OpenMap,
  type ResetMap,
  tunnelVersion,
} from "./maps.ts";
import { TunnelOutput } from "./output.ts";
import { TunnelStream } from "./stream.ts";

export interface TunnelSessionOptions {
  readonly role: "agent" | "gateway";
  /** Name and version of this program, for the peer's log. */
  readonly software: string;
  /** Credit for each stream towards this side; `windowBytes` of the limits where absent. */
  readonly windowBytes?: number;
  /** Gateway only: streams that the agent may keep open at once; `maxStreams` of the limits where absent. */
  readonly maxStreams?: number;
}

/**
 * Both roles of the protocol. Calls for a stream that is already over do nothing, because its end may be in the very events
 * that the caller is working through; calls for one that never was throw `tunnel.protocol`, as do those that its state forbids.
 */
export class TunnelSession {
  readonly #role: "agent" | "gateway";
  readonly #windowBytes: number;
  readonly #maxStreams: number;
  #peerHello: HelloMap | undefined;
  #isGoingAway = false;
  #isFailed = false;

  readonly #streams = new Map<number, TunnelStream>();
  /** Highest id opened so far; every id up to it is used up. */
  #highestStream = 0;
  /** Streams with something to send. A set iterates in order of entry, those too that leave and enter again: a round robin. */
  readonly #ready = new Set<TunnelStream>();

  #lastPing = 0;
  #pendingPing: { readonly value: number; readonly sentAtMs: number } | undefined;

  readonly #output = new TunnelOutput();
  #events: TunnelEvent[] = [];

  constructor(options: TunnelSessionOptions) {
    this.#role = options.role;
    this.#windowBytes = options.windowBytes ?? tunnelLimits.windowBytes;
    this.#maxStreams = options.maxStreams ?? tunnelLimits.maxStreams;
    const hello: HelloMap = {
      version: tunnelVersion,
      software: options.software,
      windowBytes: this.#windowBytes,
      ...(options.role === "gateway" ? { maxStreams: this.#maxStreams } : {}),
    };
    this.#sendMap("HELLO", encodeMap("HELLO", hello));
  }

  /**
   * Takes one WebSocket message over and says what happened. The message must not be reused: `data` events are views into it.
   * After an error the tunnel is over: take the output once more (it ends with a GOAWAY that names the error) and close the
   * WebSocket with `error.forms.wsClose`.
   * @param nowMs epoch milliseconds; only measures round trips.
   * @throws JitdbError `tunnel.protocol`, `tunnel.too_large`, `tunnel.window_overrun`, `tunnel.too_many_streams`.
   */
  receive(message: Uint8Array, nowMs: number): TunnelEvent[] {
    if (this.#isFailed) {
      return [];
    }
    try {
      for (const frame of decodeFrames(message)) {
        this.#receiveFrame(frame, nowMs);
      }
    } catch (error) {
      const failure = toJitdbError(error);
      this.#fail(failure);
      throw failure;
    }
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /**
   * Agent: asks for a stream and gives its id. Comes after the `hello` event.
   * @throws JitdbError `tunnel.too_many_streams`, `tunnel.going_away`, `tunnel.too_large` for a map over its limit.
   */
  open(map: OpenMap): number {
    if (this.#isGoingAway || this.#isFailed) {
      throw new JitdbError("tunnel.going_away", "This tunnel opens no more streams.");
    }
    if (this.#peerHello === undefined || this.#role === "gateway") {
      throw new JitdbError("tunnel.protocol", "Only an agent opens streams, after both HELLOs.");
    }
    const maxStreams = this.#peerHello.maxStreams ?? tunnelLimits.maxStreams;
    const id = this.#highestStream === 0 ? 1 : this.#highestStream + 2;
    if (this.#streams.size >= maxStreams || id > tunnelLimits.maxStreamId) {
      throw new JitdbError("tunnel.too_many_streams", `This tunnel has ${maxStreams} streams.`);
    }
    const payload = encodeMap("OPEN", map);
    const stream = this.#createStream(id, this.#peerHello);
    stream.open(payload);
    this.#settle(stream);
    return id;
  }

  /** Gateway: accepts a stream that an `open` event asked for. */
  opened(id: number, map: OpenedMap): void {
    this.#use(id, (stream) => stream.opened(encodeMap("OPENED", map)));
  }

  /** Ends a stream at once, or refuses it: what is queued is dropped, the peer gets a `reset` event. */
  reset(id: number, map: ResetMap): void {
    this.#use(id, (stream) => stream.reset(encodeMap("RESET", map)));
  }

  /**
   * Queues bytes for the peer and owns them from now on. False: the queue is over the peer's credit (or the stream is over),
   * so pause the source until the `writable` event.
   */
  write(id: number, bytes: Uint8Array): boolean {
    const stream = this.#live(id);
    if (stream === undefined) {
      return false;
    }
    const isWritable = stream.write(bytes);
    this.#settle(stream);
    return isWritable;
  }

  /** The receiver has passed on `byteCount` bytes of `data` events: the peer may send as many more. */
  consumed(id: number, byteCount: number): void {
    this.#use(id, (stream) => stream.consumed(byteCount));
  }

  /** Ends our direction of the stream behind the queued bytes; the peer's goes on. */
  close(id: number): void {
    this.#use(id, (stream) => stream.close());
  }

  /** Announces the end of the tunnel: from now on no stream is opened, and an OPEN under way is refused. */
  goAway(map: GoAwayMap): void {
    this.#isGoingAway = true;
    this.#sendMap("GOAWAY", encodeMap("GOAWAY", map));
  }

  /** Gateway: tells the agent about a grant. */
  notice(map: NoticeMap): void {
    this.#sendMap("NOTICE", encodeMap("NOTICE", map));
  }

  /** Agent: renews the access token under the tunnel. */
  auth(map: AuthMap): void {
    this.#sendMap("AUTH", encodeMap("AUTH", map));
  }

  /** Asks for a sign of life, which comes as `pong`. While an answer is still awaited, asks nothing. */
  ping(nowMs: number): void {
    if (this.#pendingPing === undefined) {
      this.#lastPing += 1;
      this.#pendingPing = { value: this.#lastPing, sentAtMs: nowMs };
      this.#output.queue({ type: "PING", stream: 0, answer: false, value: this.#lastPing });
    }
  }

  /**
   * The next WebSocket message, as chunks to be written in this order as one message; the caller owns them, but must not
   * change them. Null: nothing to send. Call until null, or until the socket is full: what stays here is bounded by the windows.
   */
  takeOutput(): Uint8Array[] | null {
    this.#output.startMessage();
    for (const stream of this.#ready) {
      if (!this.#output.hasRoomForTurn) {
        break;
      }
      this.#flush(stream);
    }
    return this.#output.takeMessage();
  }

  #receiveFrame(frame: Frame, nowMs: number): void {
    if (frameLayouts[frame.type].sender === this.#role) {
      throw new JitdbError("tunnel.protocol", `A ${frame.type} frame never comes from this side.`);
    }
    if (frame.type === "HELLO") {
      this.#receiveHello(frame.payload);
      return;
    }
    if (this.#peerHello === undefined) {
      throw new JitdbError("tunnel.protocol", `${frame.type} came before HELLO.`);
    }
    switch (frame.type) {
      case "AUTH":
        this.#events.push({ type: "auth", auth: decodeMap("AUTH", frame.payload) });
        return;
      case "GOAWAY":
        this.#isGoingAway = true;
        this.#events.push({ type: "goaway", goaway: decodeMap("GOAWAY", frame.payload) });
        return;
      case "NOTICE":
        this.#events.push({ type: "notice", notice: decodeMap("NOTICE", frame.payload) });
        return;
      case "PING":
        this.#receivePing(frame, nowMs);
        return;
      case "OPEN":
        this.#receiveOpen(frame, this.#peerHello);
        return;
      default:
        this.#receiveStreamFrame(frame);
    }
  }

  #receiveHello(payload: Uint8Array): void {
    if (this.#peerHello !== undefined) {
      throw new JitdbError("tunnel.protocol", "HELLO came twice.");
    }
    this.#peerHello = decodeMap("HELLO", payload);
    this.#events.push({ type: "hello", hello: this.#peerHello });
  }

  #receivePing(frame: PingFrame, nowMs: number): void {
    if (!frame.answer) {
      this.#output.oweAnswer(frame.value);
      return;
    }
    if (frame.value !== this.#pendingPing?.value) {
      throw new JitdbError("tunnel.protocol", "A PING was answered that nobody sent.");
    }
    const roundTripMs = Math.max(0, nowMs - this.#pendingPing.sentAtMs);
    this.#pendingPing = undefined;
    this.#events.push({ type: "pong", roundTripMs });
  }

  #receiveOpen(frame: MapFrame<"OPEN">, peerHello: HelloMap): void {
    const id = frame.stream;
    if (id % 2 === 0) {
      throw new JitdbError("tunnel.protocol", `An agent's stream has the even id ${id}.`);
    }
    if (id <= this.#highestStream) {
      // A repeat: whatever its map says, the first one stands.
      this.#live(id)?.receiveOpen();
      return;
    }
    // SECURITY: streams that are over count until their last frame is taken, so a flood of OPENs that reads no answer stops here.
    if (this.#streams.size >= this.#maxStreams) {
      throw new JitdbError(
        "tunnel.too_many_streams",
        `The agent opened more than ${this.#maxStreams} streams.`,
      );
    }
    const open = decodeMap("OPEN", frame.payload);
    const stream = this.#createStream(id, peerHello);
    stream.receiveOpen();
    if (this.#isGoingAway) {
      this.reset(id, { code: "tunnel.going_away", message: "This tunnel opens no more streams." });
      return;
    }
    this.#events.push({ type: "open", stream: id, open });
  }

  #receiveStreamFrame(frame: MapFrame<"OPENED" | "RESET"> | DataFrame | PositionFrame): void {
    const stream = this.#live(frame.stream);
    // Frames that crossed our RESET or come again after both CLOSEs: the peer did not know yet.
    if (stream === undefined) {
      return;
    }
    switch (frame.type) {
      case "DATA":
        stream.receiveData(frame.position, frame.body.byteLength);
        this.#events.push({ type: "data", stream: stream.id, bytes: withoutBallast(frame.body) });
        return;
      case "WINDOW":
        if (stream.receiveWindow(frame.position)) {
          this.#events.push({ type: "writable", stream: stream.id });
        }
        break;
      case "ACK":
        stream.receiveAck(frame.position);
        return;
      case "CLOSE":
        this.#receiveClose(stream, frame.position);
        break;
      case "OPENED":
        this.#receiveOpened(stream, frame.payload);
        break;
      case "RESET": {
        const reset = decodeMap("RESET", frame.payload);
        stream.receiveReset();
        this.#events.push({ type: "reset", stream: stream.id, reset });
        break;
      }
    }
    this.#settle(stream);
  }

  #receiveOpened(stream: TunnelStream, payload: Uint8Array): void {
    const opened = decodeMap("OPENED", payload);
    if (stream.receiveOpened()) {
      this.#events.push({ type: "opened", stream: stream.id, opened });
    }
  }

  #receiveClose(stream: TunnelStream, position: number): void {
    if (stream.receiveClose(position)) {
      this.#events.push({ type: "peerClosed", stream: stream.id });
    }
    if (stream.isClosed) {
      this.#events.push({ type: "closed", stream: stream.id });
    }
  }

  #createStream(id: number, peerHello: HelloMap): TunnelStream {
    const stream = new TunnelStream({
      id,
      windowBytes: this.#windowBytes,
      peerWindowBytes: peerHello.windowBytes,
      sendFrame: (frame) => this.#output.send(frame),
    });
    this.#highestStream = id;
    this.#streams.set(id, stream);
    return stream;
  }

  /**
   * The stream, or undefined if it is over.
   * @throws JitdbError `tunnel.protocol` for an id that was never opened.
   */
  #live(id: number): TunnelStream | undefined {
    if (id > this.#highestStream || id % 2 === 0) {
      throw new JitdbError("tunnel.protocol", `Stream ${id} was never opened.`);
    }
    const stream = this.#streams.get(id);
    return stream?.isClosed ? undefined : stream;
  }

  #use(id: number, action: (stream: TunnelStream) => void): void {
    const stream = this.#live(id);
    if (stream !== undefined) {
      action(stream);
      this.#settle(stream);
    }
  }

  /** Queues a stream that has something to send, forgets one that is over. */
  #settle(stream: TunnelStream): void {
    if (stream.hasOutput) {
      this.#ready.add(stream);
      return;
    }
    this.#ready.delete(stream);
    if (stream.isClosed) {
      this.#streams.delete(stream.id);
    }
  }

  #flush(stream: TunnelStream): void {
    const { state } = stream;
    stream.flush();
    if (state !== "closed" && stream.isClosed) {
      this.#events.push({ type: "closed", stream: stream.id });
    }
    this.#ready.delete(stream);
    this.#settle(stream);
  }

  #sendMap(type: "HELLO" | "GOAWAY" | "NOTICE" | "AUTH", payload: Uint8Array): void {
    this.#output.queue({ type, stream: 0, payload });
  }

  /** The peer broke the protocol: drop everything, tell it why. */
  #fail(error: JitdbError): void {
    this.#isFailed = true;
    this.#streams.clear();
    this.#ready.clear();
    this.#events = [];
    this.goAway({ code: error.code, message: error.message, hint: error.hint });
  }
}

/** SECURITY: a view keeps its whole buffer alive, so single bytes in huge messages could hold far more memory than the window says. */
function withoutBallast(body: Uint8Array): Uint8Array {
  const isLight = body.byteLength * tunnelLimits.maxBufferPerBody < body.buffer.byteLength;
  return isLight ? new Uint8Array(body) : body;
}
