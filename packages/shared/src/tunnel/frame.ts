// Frames of the tunnel: bytes to frames and back. Knows layouts and lengths; has never heard of what a map says,
// of streams' states, or of who sends what when. Implements docs/tunnel-protocol.md §3 and §4.

import { JitdbError } from "../errors.ts";
import { tunnelLimits } from "./limits.ts";

/** Type (1), payload length (3), stream (4); all integers are big-endian. */
export const frameHeaderBytes = 8;
/** The header of a DATA frame and the position in front of its body. */
export const dataHeaderBytes = 16;

interface FrameLayout {
  readonly code: number;
  /** Whether the frame is about the tunnel (stream 0) or about one stream (1 and up). */
  readonly scope: "tunnel" | "stream";
  /** The only role that may send it. */
  readonly sender: "agent" | "gateway" | "both";
  readonly minPayloadBytes: number;
  readonly maxPayloadBytes: number;
}

/** The shortest map is `{}`. */
const map = { minPayloadBytes: 2, maxPayloadBytes: tunnelLimits.maxMapPayloadBytes } as const;
const position = { minPayloadBytes: 8, maxPayloadBytes: 8 } as const;
const resume = { minPayloadBytes: 17, maxPayloadBytes: 17 } as const;
const ping = { minPayloadBytes: 9, maxPayloadBytes: 9 } as const;
/** A DATA frame without a byte would be work for nothing that no window limits. */
const data = { minPayloadBytes: 9, maxPayloadBytes: tunnelLimits.maxDataPayloadBytes } as const;

/** Every frame type: its code on the wire, its direction, and how long its payload may be. */
export const frameLayouts = {
  HELLO: { code: 0x01, scope: "tunnel", sender: "both", ...map },
  AUTH: { code: 0x02, scope: "tunnel", sender: "agent", ...map },
  OPEN: { code: 0x10, scope: "stream", sender: "agent", ...map },
  OPENED: { code: 0x11, scope: "stream", sender: "gateway", ...map },
  DATA: { code: 0x12, scope: "stream", sender: "both", ...data },
  WINDOW: { code: 0x13, scope: "stream", sender: "both", ...position },
  ACK: { code: 0x14, scope: "stream", sender: "both", ...position },
  CLOSE: { code: 0x15, scope: "stream", sender: "both", ...position },
  RESET: { code: 0x16, scope: "stream", sender: "both", ...map },
  RESUME: { code: 0x17, scope: "stream", sender: "both", ...resume },
  PING: { code: 0x20, scope: "tunnel", sender: "both", ...ping },
  GOAWAY: { code: 0x21, scope: "tunnel", sender: "both", ...map },
  NOTICE: { code: 0x22, scope: "tunnel", sender: "gateway", ...map },
  SPARE: { code: 0x23, scope: "tunnel", sender: "gateway", ...map },
  SPENT: { code: 0x24, scope: "tunnel", sender: "gateway", ...map },
} as const satisfies Record<string, FrameLayout>;

export type FrameType = keyof typeof frameLayouts;

export type MapType =
  | "HELLO"
  | "AUTH"
  | "OPEN"
  | "OPENED"
  | "RESET"
  | "GOAWAY"
  | "NOTICE"
  | "SPARE"
  | "SPENT";

/** A frame whose payload is a JSON map, still encoded; maps.ts reads it. */
export interface MapFrame<T extends MapType = MapType> {
  readonly type: T;
  readonly stream: number;
  readonly payload: Uint8Array;
}

/** Bytes of a stream; `position` is the offset of the body's first byte in its direction of the stream. */
export interface DataFrame {
  readonly type: "DATA";
  readonly stream: number;
  readonly position: number;
  readonly body: Uint8Array;
}

/** WINDOW: positions below it may be sent. ACK: bytes received so far. CLOSE: the length of the finished direction. */
export interface PositionFrame {
  readonly type: "WINDOW" | "ACK" | "CLOSE";
  readonly stream: number;
  readonly position: number;
}

/** Where one side of a stream stands, on a new WebSocket: what has come, what may be sent, whether it has heard of OPENED. */
export interface ResumeFrame {
  readonly type: "RESUME";
  readonly stream: number;
  readonly isOpened: boolean;
  /** As in ACK. */
  readonly received: number;
  /** As in WINDOW. */
  readonly limit: number;
}

/** A question (`answer` false) or its answer, which repeats the question's value. */
export interface PingFrame {
  readonly type: "PING";
  readonly stream: 0;
  readonly answer: boolean;
  readonly value: number;
}

export type Frame =
  | { [T in MapType]: MapFrame<T> }[MapType]
  | DataFrame
  | PositionFrame
  | ResumeFrame
  | PingFrame;

const typesByCode: ReadonlyMap<number, FrameType> = new Map(
  (Object.keys(frameLayouts) as FrameType[]).map((type) => [frameLayouts[type].code, type]),
);

/**
 * Decodes one WebSocket message. Payloads and bodies are views into `message`, which therefore must not be reused.
 * @throws JitdbError `tunnel.too_large` for a message or an announced length over its limit, `tunnel.protocol` for anything else.
 */
export function decodeFrames(message: Uint8Array): Frame[] {
  if (message.byteLength > tunnelLimits.maxMessageBytes) {
    throw new JitdbError(
      "tunnel.too_large",
      `A tunnel message of ${message.byteLength} bytes is over the limit of ${tunnelLimits.maxMessageBytes}.`,
    );
  }
  if (message.byteLength === 0) {
    throw new JitdbError("tunnel.protocol", "A tunnel message has no frame.");
  }
  const view = new DataView(message.buffer, message.byteOffset, message.byteLength);
  const frames: Frame[] = [];
  let offset = 0;
  while (offset < message.byteLength) {
    offset = decodeFrame(message, view, offset, frames);
  }
  return frames;
}

/** Decodes the frame at `start` into `frames` and gives the offset behind it. */
function decodeFrame(message: Uint8Array, view: DataView, start: number, frames: Frame[]): number {
  if (message.byteLength - start < frameHeaderBytes) {
    throw new JitdbError("tunnel.protocol", "A tunnel message ends inside a frame header.");
  }
  const typeAndLength = view.getUint32(start);
  const stream = view.getUint32(start + 4);
  const payloadBytes = typeAndLength & 0xff_ffff;
  const type = checkHeader(typeAndLength >>> 24, payloadBytes, stream);
  const payloadStart = start + frameHeaderBytes;
  const end = payloadStart + payloadBytes;
  if (end > message.byteLength) {
    throw new JitdbError("tunnel.protocol", `A ${type} frame is longer than its message.`);
  }
  frames.push(decodePayload(type, stream, message, view, payloadStart, end));
  return end;
}

function checkHeader(code: number, payloadBytes: number, stream: number): FrameType {
  const type = typesByCode.get(code);
  if (type === undefined) {
    throw new JitdbError("tunnel.protocol", `Frame type 0x${code.toString(16)} is unknown.`);
  }
  const layout = frameLayouts[type];
  if ((stream === 0) !== (layout.scope === "tunnel")) {
    throw new JitdbError("tunnel.protocol", `A ${type} frame cannot be for stream ${stream}.`);
  }
  if (payloadBytes > layout.maxPayloadBytes) {
    throw new JitdbError(
      "tunnel.too_large",
      `A ${type} payload of ${payloadBytes} bytes is over the limit of ${layout.maxPayloadBytes}.`,
    );
  }
  if (payloadBytes < layout.minPayloadBytes) {
    throw new JitdbError(
      "tunnel.protocol",
      `A ${type} payload of ${payloadBytes} bytes is under the least of ${layout.minPayloadBytes}.`,
    );
  }
  return type;
}

function decodePayload(
  type: FrameType,
  stream: number,
  message: Uint8Array,
  view: DataView,
  start: number,
  end: number,
): Frame {
  switch (type) {
    case "DATA": {
      const body = message.subarray(start + 8, end);
      return { type, stream, position: decodePosition(view, start), body };
    }
    case "WINDOW":
    case "ACK":
    case "CLOSE":
      return { type, stream, position: decodePosition(view, start) };
    case "RESUME": {
      const isOpened = decodeFlag(type, view, start);
      const received = decodePosition(view, start + 1);
      return { type, stream, isOpened, received, limit: decodePosition(view, start + 9) };
    }
    case "PING": {
      const answer = decodeFlag(type, view, start);
      return { type, stream: 0, answer, value: decodePosition(view, start + 1) };
    }
    default:
      return { type, stream, payload: message.subarray(start, end) };
  }
}

/** A byte with one flag; what the others may mean one day is not to be guessed. */
function decodeFlag(type: FrameType, view: DataView, offset: number): boolean {
  const flags = view.getUint8(offset);
  if (flags > 1) {
    throw new JitdbError("tunnel.protocol", `${type} flags 0x${flags.toString(16)} are unknown.`);
  }
  return flags === 1;
}

function decodePosition(view: DataView, offset: number): number {
  const value = view.getUint32(offset) * 0x1_0000_0000 + view.getUint32(offset + 4);
  if (value > tunnelLimits.maxPosition) {
    throw new JitdbError("tunnel.protocol", "A position is over 2^53 - 1.");
  }
  return value;
}

/**
 * Encodes a frame into fresh bytes. Copies the body of DATA: the hot path uses `encodeDataHeader`.
 * @throws JitdbError `tunnel.too_large` for a payload over the limit of its type.
 */
export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.type) {
    case "DATA": {
      const header = encodeDataHeader(frame.stream, frame.position, frame.body.byteLength);
      const bytes = new Uint8Array(dataHeaderBytes + frame.body.byteLength);
      bytes.set(header);
      bytes.set(frame.body, dataHeaderBytes);
      return bytes;
    }
    case "WINDOW":
    case "ACK":
    case "CLOSE": {
      const bytes = encodeHeader(frame.type, frame.stream, 8, frameHeaderBytes + 8);
      writePosition(bytes, frameHeaderBytes, frame.position);
      return bytes;
    }
    case "RESUME": {
      const bytes = encodeHeader(frame.type, frame.stream, 17, frameHeaderBytes + 17);
      bytes[frameHeaderBytes] = frame.isOpened ? 1 : 0;
      writePosition(bytes, frameHeaderBytes + 1, frame.received);
      writePosition(bytes, frameHeaderBytes + 9, frame.limit);
      return bytes;
    }
    case "PING": {
      const bytes = encodeHeader(frame.type, frame.stream, 9, frameHeaderBytes + 9);
      bytes[frameHeaderBytes] = frame.answer ? 1 : 0;
      writePosition(bytes, frameHeaderBytes + 1, frame.value);
      return bytes;
    }
    default: {
      const payloadBytes = frame.payload.byteLength;
      const bytes = encodeHeader(
        frame.type,
        frame.stream,
        payloadBytes,
        frameHeaderBytes + payloadBytes,
      );
      bytes.set(frame.payload, frameHeaderBytes);
      return bytes;
    }
  }
}

/**
 * The 16 bytes that stand before the body of a DATA frame; the body follows them on the wire as it is.
 * @throws JitdbError `tunnel.too_large` for a body that does not fit a frame.
 */
export function encodeDataHeader(stream: number, position: number, bodyBytes: number): Uint8Array {
  const bytes = encodeHeader("DATA", stream, 8 + bodyBytes, dataHeaderBytes);
  writePosition(bytes, frameHeaderBytes, position);
  return bytes;
}

/** `size` fresh bytes that begin with a frame header. */
function encodeHeader(
  type: FrameType,
  stream: number,
  payloadBytes: number,
  size: number,
): Uint8Array {
  const layout = frameLayouts[type];
  if (payloadBytes > layout.maxPayloadBytes) {
    throw new JitdbError(
      "tunnel.too_large",
      `A ${type} payload of ${payloadBytes} bytes is over the limit of ${layout.maxPayloadBytes}.`,
    );
  }
  const bytes = new Uint8Array(size);
  writeUint32(bytes, 0, layout.code * 0x100_0000 + payloadBytes);
  writeUint32(bytes, 4, stream);
  return bytes;
}

function writePosition(bytes: Uint8Array, offset: number, value: number): void {
  writeUint32(bytes, offset, Math.floor(value / 0x1_0000_0000));
  writeUint32(bytes, offset + 4, value);
}

/** Writes the low 32 bits of `value`; typed arrays keep the low 8 of each shift. */
function writeUint32(bytes: Uint8Array, offset: number, value: number): void {
  const low = value >>> 0;
  bytes[offset] = low >>> 24;
  bytes[offset + 1] = low >>> 16;
  bytes[offset + 2] = low >>> 8;
  bytes[offset + 3] = low;
}

/** SECURITY: a view keeps its whole buffer alive, so single bytes in huge messages could hold far more memory than the window says. */
export function withoutBallast(body: Uint8Array): Uint8Array {
  const isLight = body.byteLength * tunnelLimits.maxBufferPerBody < body.buffer.byteLength;
  return isLight ? new Uint8Array(body) : body;
}
