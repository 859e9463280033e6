// What the peer's frames of streams mean: each is taken by its stream, and becomes events. Implements docs/tunnel-protocol.md §6 and §7.

import { JitdbError } from "../errors.ts";
import type { TunnelEvent } from "./events.ts";
import {
  type DataFrame,
  type Frame,
  type MapFrame,
  type PositionFrame,
  withoutBallast,
} from "./frame.ts";
import { decodeMap, encodeMap, type HelloMap } from "./maps.ts";
import type { TunnelStream } from "./stream.ts";
import type { StreamTable } from "./stream-table.ts";

type StreamMapFrame = { [T in "OPEN" | "OPENED" | "RESET"]: MapFrame<T> }[
  | "OPEN"
  | "OPENED"
  | "RESET"];

export type StreamFrame = StreamMapFrame | DataFrame | PositionFrame;

type TunnelMapFrame = { [T in TunnelMapType]: MapFrame<T> }[TunnelMapType];
export type TunnelMapType = "AUTH" | "GOAWAY" | "NOTICE" | "SPARE" | "SPENT";

/** What a map of the tunnel itself means. @throws JitdbError `tunnel.protocol` */
export function toTunnelEvent(frame: TunnelMapFrame): TunnelEvent {
  switch (frame.type) {
    case "AUTH":
      return { type: "auth", auth: decodeMap("AUTH", frame.payload) };
    case "GOAWAY":
      return { type: "goaway", goaway: decodeMap("GOAWAY", frame.payload) };
    case "NOTICE":
      return { type: "notice", notice: decodeMap("NOTICE", frame.payload) };
    case "SPARE":
      return { type: "spare", spare: decodeMap("SPARE", frame.payload) };
    case "SPENT":
      return { type: "spent", spent: decodeMap("SPENT", frame.payload) };
  }
}

export class IncomingFrames {
  readonly #streams: StreamTable;
  readonly #maxStreams: number;
  readonly #emit: (event: TunnelEvent) => void;

  /** @param maxStreams of the gateway */
  constructor(streams: StreamTable, maxStreams: number, emit: (event: TunnelEvent) => void) {
    this.#streams = streams;
    this.#maxStreams = maxStreams;
    this.#emit = emit;
  }

  /** @throws JitdbError `tunnel.protocol`, `tunnel.window_overrun` */
  take(frame: StreamFrame): void {
    const stream = this.#streams.get(frame.stream);
    // Frames that crossed our RESET or come again after both CLOSEs: the peer did not know yet.
    if (stream !== undefined && (!stream.isClosed || isOfEnd(frame))) {
      this.#streams.use(stream, () => this.#takeFrame(stream, frame));
    }
  }

  /**
   * The agent asks for a stream.
   * @param isGoingAway it is refused
   * @throws JitdbError `tunnel.protocol`, `tunnel.too_many_streams`
   */
  open(frame: MapFrame<"OPEN">, { windowBytes }: HelloMap, isGoingAway: boolean): void {
    const id = frame.stream;
    if (id % 2 === 0) {
      throw new JitdbError("tunnel.protocol", `An agent's stream has the even id ${id}.`);
    }
    if (id <= this.#streams.highest) {
      // A repeat: whatever its map says, the first one stands.
      this.take(frame);
      return;
    }
    // SECURITY: streams that are over count until the agent has acknowledged it, so a flood of OPENs that reads no answer stops here.
    if (this.#streams.size >= this.#maxStreams) {
      throw new JitdbError(
        "tunnel.too_many_streams",
        `The agent opened more than ${this.#maxStreams} streams.`,
      );
    }
    const open = decodeMap("OPEN", frame.payload);
    this.#streams.use(this.#streams.create(id, windowBytes), (stream) => {
      stream.receiveOpen();
      if (isGoingAway) {
        stream.reset(encodeMap("RESET", refusal));
      } else {
        this.#emit({ type: "open", stream: id, open });
      }
    });
  }

  #takeFrame(stream: TunnelStream, frame: StreamFrame): void {
    const { id } = stream;
    switch (frame.type) {
      case "DATA":
        stream.receiveData(frame.position, frame.body.byteLength);
        this.#streams.received(stream);
        this.#emit({ type: "data", stream: id, bytes: withoutBallast(frame.body) });
        return;
      case "WINDOW":
        if (stream.receiveWindow(frame.position) && !this.#streams.isCrowded(stream)) {
          this.#emit({ type: "writable", stream: id });
        }
        return;
      case "ACK":
        stream.receiveAck(frame.position);
        return;
      case "CLOSE":
        this.#takeClose(stream, frame.position);
        return;
      default:
        this.#takeMap(stream, frame);
    }
  }

  #takeMap(stream: TunnelStream, frame: StreamMapFrame): void {
    switch (frame.type) {
      case "OPEN":
        stream.receiveOpen();
        return;
      case "OPENED": {
        const opened = decodeMap("OPENED", frame.payload);
        if (stream.receiveOpened()) {
          this.#emit({ type: "opened", stream: stream.id, opened });
        }
        return;
      }
      case "RESET": {
        const reset = decodeMap("RESET", frame.payload);
        const wasClosed = stream.isClosed;
        stream.receiveReset();
        if (!wasClosed) {
          this.#emit({ type: "reset", stream: stream.id, reset });
        }
      }
    }
  }

  #takeClose(stream: TunnelStream, position: number): void {
    if (stream.receiveClose(position)) {
      this.#emit({ type: "peerClosed", stream: stream.id });
    }
    if (stream.isClosed) {
      this.#emit({ type: "closed", stream: stream.id });
    }
  }
}

const refusal = { code: "tunnel.going_away", message: "This tunnel opens no more streams." };

/** What may still come for a stream that is over: the word that the peer knows, too. */
function isOfEnd({ type }: Frame): boolean {
  return type === "ACK" || type === "RESET";
}
