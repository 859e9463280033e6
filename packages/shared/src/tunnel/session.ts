// One end of a tunnel: messages in, events out; what is to be sent is taken with `takeOutput`. Outlives its WebSockets: streams go on
// where the last one was lost. Knows frames, maps and streams; has never heard of a WebSocket, a clock or a database.
// Implements docs/tunnel-protocol.md §5 to §10.

import { JitdbError, toJitdbError } from "../errors.ts";
import type { TunnelEvent } from "./events.ts";
import {
  decodeFrames,
  type Frame,
  frameLayouts,
  type PingFrame,
  type ResumeFrame,
} from "./frame.ts";
import { IncomingFrames, type StreamFrame, type TunnelMapType, toTunnelEvent } from "./incoming.ts";
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
  type SpareMap,
  type SpentMap,
  tunnelVersion,
} from "./maps.ts";
import { TunnelOutput } from "./output.ts";
import { PeerReports } from "./resumption.ts";
import { RoundTrips } from "./round-trips.ts";
import type { Attachment, TunnelSessionOptions } from "./session-options.ts";
import type { TunnelStream } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";

/**
 * Where a WebSocket stands: `greeting` until the peer's HELLO, `listing` until it has said where its streams stand,
 * then `ready`. `detached` is between two WebSockets, `failed` the end.
 */
type Phase = "greeting" | "listing" | "ready" | "detached" | "failed";

/**
 * Both roles of the protocol. Calls for a stream that is already over do nothing, because its end may be in the very events
 * that the caller is working through; calls for one that never was throw `tunnel.protocol`, as do those that its state forbids.
 *
 * A driver creates it with the first WebSocket, calls `detach` when that is gone and `attach` when there is another one.
 * Between the two, streams take what is written up to their credit.
 */
export class TunnelSession {
  readonly #role: "agent" | "gateway";
  readonly #software: string;
  readonly #windowBytes: number;
  readonly #maxStreams: number;
  #phase: Phase = "greeting";
  #peerHello: HelloMap | undefined;
  #isResuming = false;
  /** While listing. */
  #reports: PeerReports | undefined;
  #isGoingAway = false;

  readonly #streams: StreamTable;
  readonly #incoming: IncomingFrames;
  readonly #roundTrips: RoundTrips;
  readonly #output = new TunnelOutput();
  #events: TunnelEvent[] = [];
  /** Of the last message. */
  #nowMs = 0;

  constructor(options: TunnelSessionOptions) {
    this.#role = options.role;
    this.#software = options.software;
    this.#windowBytes = options.windowBytes ?? tunnelLimits.windowBytes;
    this.#maxStreams = options.maxStreams ?? tunnelLimits.maxStreams;
    this.#streams = new StreamTable({
      windowBytes: this.#windowBytes,
      maxWindowBytes: options.maxWindowBytes ?? tunnelLimits.maxWindowBytes,
      sender: this.#output,
      recycle: options.recycle,
    });
    this.#incoming = new IncomingFrames(this.#streams, this.#maxStreams, (event) =>
      this.#events.push(event),
    );
    this.#roundTrips = new RoundTrips((value) =>
      this.#output.queue({ type: "PING", stream: 0, answer: false, value }),
    );
    this.#greet(options.ticket === undefined ? {} : { ticket: options.ticket });
  }

  /** Streams that live, or whose end the peer may not know. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** Memory for what is kept for the peer: unsent, or not acknowledged. */
  get bufferedBytes(): number {
    return this.#streams.keptBytes;
  }

  /** The WebSocket is gone. What was given by `takeOutput` may or may not have arrived: the next one tells. */
  detach(): void {
    if (this.#phase !== "failed") {
      this.#phase = "detached";
      this.#output.clear();
      this.#roundTrips.forget();
      this.#reports = undefined;
    }
  }

  /** There is a new WebSocket; comes after `detach`. The event `resumed` says that the tunnel goes on. */
  attach(attachment: Attachment): void {
    if (this.#phase !== "detached") {
      throw new JitdbError("tunnel.protocol", "A tunnel has one WebSocket at a time.");
    }
    this.#phase = "greeting";
    this.#peerHello = undefined;
    this.#isResuming = true;
    const streams = this.#streams.size;
    this.#greet(
      "resume" in attachment
        ? { resume: { ticket: attachment.resume, streams } }
        : { ticket: attachment.ticket, resumed: { streams } },
    );
    for (const report of this.#streams.reports()) {
      this.#output.queue(report);
    }
  }

  /**
   * Takes one WebSocket message over and says what happened. The message must not be reused: `data` events are views into it.
   * After an error the tunnel is over: take the output once more (it ends with a GOAWAY that names the error) and close the
   * WebSocket with `error.forms.wsClose`.
   * @param nowMs milliseconds of a clock that does not go back, with fractions: what a near path takes is less than one
   * @throws JitdbError `tunnel.protocol`, `tunnel.too_large`, `tunnel.window_overrun`, `tunnel.too_many_streams`.
   */
  receive(message: Uint8Array, nowMs: number): TunnelEvent[] {
    if (this.#phase === "failed" || this.#phase === "detached") {
      return [];
    }
    this.#nowMs = nowMs;
    try {
      for (const frame of decodeFrames(message)) {
        this.#receiveFrame(frame);
      }
    } catch (error) {
      const failure = toJitdbError(error);
      this.#fail(failure);
      throw failure;
    }
    this.#sayWritable(this.#streams.takeFreed());
    const events = this.#events;
    this.#events = [];
    return events;
  }

  /**
   * Agent: asks for a stream and gives its id. Comes after the `hello` event, on a resumed WebSocket after `resumed`.
   * @throws JitdbError `tunnel.too_many_streams`, `tunnel.going_away`, `tunnel.too_large` for a map over its limit.
   */
  open(map: OpenMap): number {
    if (this.#isGoingAway || this.#phase === "failed") {
      throw new JitdbError("tunnel.going_away", "This tunnel opens no more streams.");
    }
    if (this.#peerHello === undefined || this.#phase !== "ready" || this.#role === "gateway") {
      throw new JitdbError("tunnel.protocol", "Only an agent opens streams, after both HELLOs.");
    }
    const maxStreams = this.#peerHello.maxStreams ?? tunnelLimits.maxStreams;
    const { highest } = this.#streams;
    const id = highest === 0 ? 1 : highest + 2;
    if (this.#streams.size >= maxStreams || id > tunnelLimits.maxStreamId) {
      throw new JitdbError("tunnel.too_many_streams", `This tunnel has ${maxStreams} streams.`);
    }
    const payload = encodeMap("OPEN", map);
    const stream = this.#streams.create(id, this.#peerHello.windowBytes);
    this.#streams.use(stream, () => stream.open(payload));
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
   * Queues bytes for the peer and owns them from now on, until the peer has acknowledged them. False: the queue is over the peer's
   * credit, or over what all streams may keep (or the stream is over), so pause the source until the `writable` event.
   */
  write(id: number, bytes: Uint8Array): boolean {
    const stream = this.#live(id);
    return stream !== undefined && this.#streams.write(stream, bytes);
  }

  /** The receiver has passed on `byteCount` bytes of `data` events: the peer may send as many more. */
  consumed(id: number, byteCount: number): void {
    this.#use(id, (stream) => {
      stream.consumed(byteCount);
      if (stream.window.isCreditDue && this.#phase === "ready") {
        this.#roundTrips.measure(stream, this.#nowMs);
      }
    });
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

  /** Gateway: tells the agent about a grant. What is said while no WebSocket is there is lost. */
  notice(map: NoticeMap): void {
    this.#sendMap("NOTICE", encodeMap("NOTICE", map));
  }

  /** Gateway: announces a session that is logged in. False: nobody hears of it, without a WebSocket or at an agent of revision 1. */
  spare(map: SpareMap): boolean {
    if (this.#hearsOfSpares) {
      this.#sendMap("SPARE", encodeMap("SPARE", map));
    }
    return this.#hearsOfSpares;
  }

  /** Gateway: takes an announcement back. An agent without a WebSocket has none any more. */
  spent(map: SpentMap): void {
    if (this.#hearsOfSpares) {
      this.#sendMap("SPENT", encodeMap("SPENT", map));
    }
  }

  /** Agent: renews the access token under the tunnel. */
  auth(map: AuthMap): void {
    this.#sendMap("AUTH", encodeMap("AUTH", map));
  }

  /** Asks for a sign of life, which comes as `pong`. While an answer is still awaited, asks nothing. */
  ping(nowMs: number): void {
    if (this.#phase !== "detached") {
      this.#roundTrips.ping(nowMs);
    }
  }

  /** Acknowledges all that has come, and looks which streams rest. Call it every second or so: the peer keeps what is not acknowledged. */
  acknowledge(): void {
    this.#streams.acknowledge();
  }

  /**
   * The next WebSocket message, as chunks to be written in this order as one message; the caller must not change them: bodies
   * are kept until they are acknowledged. Null: nothing to send. Call until null, or until the socket is full: what stays here
   * is bounded by the windows.
   */
  takeOutput(): Uint8Array[] | null {
    if (this.#phase === "detached") {
      return null;
    }
    this.#output.startMessage();
    if (this.#phase === "ready") {
      this.#streams.flush(this.#output, this.#sayClosed);
    }
    return this.#output.takeMessage();
  }

  #sayWritable(streams: readonly number[]): void {
    for (const stream of streams) {
      this.#events.push({ type: "writable", stream });
    }
  }

  readonly #sayClosed = ({ id }: TunnelStream): void => {
    this.#events.push({ type: "closed", stream: id });
  };

  #receiveFrame(frame: Frame): void {
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
      case "GOAWAY":
      case "NOTICE":
      case "SPARE":
      case "SPENT":
        this.#isGoingAway ||= frame.type === "GOAWAY";
        this.#events.push(toTunnelEvent(frame));
        return;
      case "PING":
        this.#receivePing(frame);
        return;
      case "RESUME":
        this.#receiveReport(frame, this.#peerHello);
        return;
      default:
        this.#receiveStreamFrame(frame, this.#peerHello);
    }
  }

  #receiveHello(payload: Uint8Array): void {
    if (this.#peerHello !== undefined) {
      throw new JitdbError("tunnel.protocol", "HELLO came twice.");
    }
    const hello = decodeMap("HELLO", payload);
    this.#peerHello = hello;
    this.#events.push({ type: "hello", hello });
    const list = this.#role === "agent" ? hello.resumed : hello.resume;
    if (list !== undefined && this.#role === "agent" && !this.#isResuming) {
      throw new JitdbError("tunnel.protocol", "A tunnel goes on that nobody wants to resume.");
    }
    this.#phase = "listing";
    this.#reports = new PeerReports(list?.streams ?? 0, (id) => this.#streams.has(id));
    this.#goOnWhenListed(this.#reports, hello);
  }

  #receiveReport(frame: ResumeFrame, peerHello: HelloMap): void {
    if (this.#reports === undefined) {
      throw new JitdbError("tunnel.protocol", "RESUME came where nothing is resumed.");
    }
    this.#reports.add(frame);
    this.#goOnWhenListed(this.#reports, peerHello);
  }

  /** Once the peer has said where its streams stand, ours go on there. */
  #goOnWhenListed(reports: PeerReports, { windowBytes }: HelloMap): void {
    if (!reports.isComplete) {
      return;
    }
    this.#phase = "ready";
    this.#reports = undefined;
    if (this.#isResuming) {
      const { lost, freed } = this.#streams.resume(reports, windowBytes);
      for (const stream of lost) {
        this.#events.push({ type: "reset", stream, reset: lostStream });
      }
      this.#sayWritable(freed);
      this.#events.push({ type: "resumed", lost: lost.length });
    }
  }

  #receivePing(frame: PingFrame): void {
    if (!frame.answer) {
      this.#output.oweAnswer(frame.value);
      return;
    }
    const roundTrip = this.#roundTrips.answer(frame.value, this.#nowMs);
    this.#streams.grow(roundTrip, this.#nowMs);
    this.#events.push({ type: "pong", roundTripMs: roundTrip.ms });
  }

  #receiveStreamFrame(frame: StreamFrame, peerHello: HelloMap): void {
    if (this.#phase !== "ready") {
      const why = `${frame.type} came before the list of streams was complete.`;
      throw new JitdbError("tunnel.protocol", why);
    }
    if (frame.type === "OPEN") {
      this.#incoming.open(frame, peerHello, this.#isGoingAway);
    } else {
      this.#incoming.take(frame);
    }
  }

  /**
   * The stream, or undefined if it is over.
   * @throws JitdbError `tunnel.protocol` for an id that was never opened.
   */
  #live(id: number): TunnelStream | undefined {
    const stream = this.#streams.get(id);
    return stream?.isClosed ? undefined : stream;
  }

  #use(id: number, action: (stream: TunnelStream) => void): void {
    const stream = this.#live(id);
    if (stream !== undefined) {
      this.#streams.use(stream, action);
    }
  }

  #greet(more: Pick<HelloMap, "resume" | "resumed" | "ticket">): void {
    const hello: HelloMap = {
      version: tunnelVersion,
      software: this.#software,
      windowBytes: this.#windowBytes,
      ...(this.#role === "gateway" ? { maxStreams: this.#maxStreams } : {}),
      ...more,
    };
    this.#sendMap("HELLO", encodeMap("HELLO", hello));
  }

  get #hearsOfSpares(): boolean {
    return this.#phase !== "detached" && (this.#peerHello?.version ?? 0) >= 2;
  }

  #sendMap(type: TunnelMapType | "HELLO", payload: Uint8Array): void {
    if (this.#phase !== "detached") {
      this.#output.queue({ type, stream: 0, payload });
    }
  }

  /** The peer broke the protocol: drop everything, tell it why. */
  #fail(error: JitdbError): void {
    this.#phase = "failed";
    this.#streams.clear();
    this.#reports = undefined;
    this.#events = [];
    this.goAway({ code: error.code, message: error.message, hint: error.hint });
  }
}

const lostStream = {
  code: "tunnel.lost",
  message: "The connection was lost and could not be resumed.",
};
