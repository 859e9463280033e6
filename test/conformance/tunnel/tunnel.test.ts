// What docs/tunnel-protocol.md says of peers that break it, and of those that only differ: one suite for every carrier.

import { encodeFrame, type Frame } from "@jitdb/shared/tunnel/frame";
import { tunnelLimits } from "@jitdb/shared/tunnel/limits";
import { encodeMap } from "@jitdb/shared/tunnel/maps";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Carrier, carriers } from "./carriers.ts";
import { openMap, RawPeer } from "./raw-peer.ts";

const { maxPosition, maxWindowBytes, maxUnreadFrames, windowBytes } = tunnelLimits;

const map = (text: string) => new TextEncoder().encode(text);
const open = (stream: number): Frame => ({
  type: "OPEN",
  stream,
  payload: encodeMap("OPEN", openMap),
});
const data = (stream: number, position: number, byteCount: number): Frame => ({
  type: "DATA",
  stream,
  position,
  body: new Uint8Array(byteCount),
});
const at = (type: "WINDOW" | "ACK" | "CLOSE", stream: number, position: number): Frame => ({
  type,
  stream,
  position,
});
const reset = (stream: number): Frame => ({
  type: "RESET",
  stream,
  payload: map('{"code":"local.interrupted","message":"gone"}'),
});
const resume = (stream: number, received: number, limit = 0): Frame => ({
  type: "RESUME",
  stream,
  isOpened: true,
  received,
  limit,
});
/** A frame that announces another length than it should. */
const raw = (code: number, length: number, stream: number, ...payload: number[]) =>
  Uint8Array.of(
    code,
    length >>> 16,
    (length >>> 8) & 255,
    length & 255,
    0,
    0,
    0,
    stream,
    ...payload,
  );

/** What an agent sends once stream 1 is open, and how its tunnel ends. */
const hostile: readonly (readonly [string, readonly (Frame | Uint8Array)[], string])[] = [
  ["DATA for a stream that was never opened", [data(3, 0, 1)], "tunnel.protocol"],
  ["DATA for an even stream", [data(2, 0, 1)], "tunnel.protocol"],
  ["RESET of a stream that was never opened", [reset(5)], "tunnel.protocol"],
  ["an even OPEN", [open(2)], "tunnel.protocol"],
  [
    "DATA beyond its window",
    [data(1, 0, windowBytes), data(1, windowBytes, 1)],
    "tunnel.window_overrun",
  ],
  ["DATA with a gap", [data(1, 1, 1)], "tunnel.protocol"],
  ["DATA that comes twice", [data(1, 0, 1), data(1, 0, 1)], "tunnel.protocol"],
  ["DATA behind its own CLOSE", [at("CLOSE", 1, 0), data(1, 0, 1)], "tunnel.protocol"],
  ["a CLOSE beyond what it sent", [at("CLOSE", 1, 7)], "tunnel.protocol"],
  ["a CLOSE before what it sent", [data(1, 0, 5), at("CLOSE", 1, 4)], "tunnel.protocol"],
  ["a second CLOSE elsewhere", [at("CLOSE", 1, 0), at("CLOSE", 1, 1)], "tunnel.protocol"],
  ["an ACK from the future", [at("ACK", 1, 1)], "tunnel.protocol"],
  ["an ACK of a RESET that nobody sent", [at("ACK", 1, maxPosition)], "tunnel.protocol"],
  ["a WINDOW that is too large", [at("WINDOW", 1, maxWindowBytes + 1)], "tunnel.protocol"],
  ["a position over 2^53 - 1", [raw(0x14, 8, 1, 0, 32, 0, 0, 0, 0, 0, 0)], "tunnel.protocol"],
  [
    "a second HELLO",
    [{ type: "HELLO", stream: 0, payload: map('{"version":1,"software":"","windowBytes":1}') }],
    "tunnel.protocol",
  ],
  ["a RESUME where nothing is resumed", [resume(1, 0)], "tunnel.protocol"],
  [
    "an OPENED from an agent",
    [{ type: "OPENED", stream: 3, payload: map('{"session":"s"}') }],
    "tunnel.protocol",
  ],
  [
    "an answer to no PING",
    [{ type: "PING", stream: 0, answer: true, value: 1 }],
    "tunnel.protocol",
  ],
  ["an unknown frame type", [raw(0x7f, 0, 1)], "tunnel.protocol"],
  [
    "a frame of the tunnel for a stream",
    [raw(0x20, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
    "tunnel.protocol",
  ],
  [
    "a frame of a stream for the tunnel",
    [raw(0x14, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0)],
    "tunnel.protocol",
  ],
  ["an ACK that is too short", [raw(0x14, 7, 1, 0, 0, 0, 0, 0, 0, 0)], "tunnel.protocol"],
  ["an ACK that is too long", [raw(0x14, 9, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)], "tunnel.too_large"],
  ["DATA without a byte", [raw(0x12, 8, 1, 0, 0, 0, 0, 0, 0, 0, 0)], "tunnel.protocol"],
  ["a map over its limit, which never comes", [raw(0x10, 65_537, 3)], "tunnel.too_large"],
  ["DATA over its limit, which never comes", [raw(0x12, 262_145, 1)], "tunnel.too_large"],
  ["a frame longer than its message", [raw(0x14, 8, 1, 0, 0)], "tunnel.protocol"],
  ["half a header", [Uint8Array.of(0x14, 0, 0)], "tunnel.protocol"],
  ["an empty message", [new Uint8Array(0)], "tunnel.protocol"],
  ["a map that is no JSON", [{ type: "OPEN", stream: 3, payload: map("{{") }], "tunnel.protocol"],
  [
    "an OPEN without a grant",
    [{ type: "OPEN", stream: 3, payload: map('{"engine":"postgres"}') }],
    "tunnel.protocol",
  ],
  [
    "ten thousand OPENs",
    Array.from({ length: 10_000 }, (_, n) => open(2 * n + 3)),
    "tunnel.too_many_streams",
  ],
];

describe.each(Object.keys(carriers))("over %s", (name) => {
  let carrier: Carrier;
  let peer: RawPeer;
  beforeAll(async () => {
    carrier = await (carriers[name]?.() ?? Promise.reject(new Error(name)));
  });
  afterEach(() => peer?.close());
  afterAll(() => carrier?.close());

  async function meetGateway(): Promise<void> {
    peer = await RawPeer.meet(carrier, "gateway");
    peer.open(1);
    await peer.frame("OPENED");
  }

  it.each(hostile)(
    "an agent that sends %s is told why, and loses its tunnel (invariant 11)",
    async (_what, sent, code) => {
      await meetGateway();
      for (const one of sent) {
        peer.sendBytes(one instanceof Uint8Array ? one : encodeFrame(one));
      }
      expect(await peer.end()).toBe(code);
      expect(peer.endpoint.session.streamCount).toBe(0);
    },
  );

  it("frames that crossed the end of their stream are ignored (invariant 11)", async () => {
    await meetGateway();
    peer.endpoint.do((session) => session.reset(1, { code: "grant.expired", message: "over" }));
    peer.send(
      data(1, 0, 5),
      at("WINDOW", 1, 100_000),
      at("ACK", 1, 0),
      at("CLOSE", 1, 5),
      reset(1),
    );
    peer.send(at("ACK", 1, maxPosition), open(1));
    expect(await peer.end()).toBeUndefined();
    expect(peer.endpoint.session.streamCount).toBe(0);
    expect(peer.events.map(({ type }) => type)).toEqual(["hello", "open"]);
  });

  it("the end of a stream is remembered until it is acknowledged, and no longer", async () => {
    await meetGateway();
    peer.endpoint.do((session) => session.close(1));
    peer.send(at("CLOSE", 1, 0));
    await peer.settle();
    expect(peer.endpoint.session.streamCount).toBe(1);
    peer.send(at("ACK", 1, 1));
    await peer.settle();
    expect(peer.endpoint.session.streamCount).toBe(0);
  });

  it("an agent from the future is taken at the revision that both speak: unknown keys are ignored", async () => {
    peer = await RawPeer.meet(carrier, "gateway", { version: 3 });
    peer.send({
      type: "OPEN",
      stream: 1,
      payload: map(
        '{"engine":"postgres","kind":"session","grant":"g","startup":"AA==","mood":"good"}',
      ),
    });
    await peer.frame("OPENED");
    expect(await peer.end()).toBeUndefined();
  });

  it("a flood of one-byte frames that nobody reads ends its tunnel (invariant 11)", async () => {
    await meetGateway();
    peer.open(3);
    const per = 8192;
    for (let position = 0; position < maxUnreadFrames; position += per) {
      const stream = position < maxUnreadFrames / 2 ? 1 : 3;
      const from = position % (maxUnreadFrames / 2);
      peer.send(...Array.from({ length: per }, (_, n) => data(stream, from + n, 1)));
    }
    expect(await peer.end()).toBeUndefined();
    peer.send(data(1, maxUnreadFrames / 2, 1), data(3, maxUnreadFrames / 2, 1));
    expect(await peer.end()).toBe("tunnel.window_overrun");
  });

  it("a stopped reader stalls its own stream, and a neighbour runs on (invariant 11)", async () => {
    await meetGateway();
    peer.open(3);
    await peer.settle();
    const { session } = peer.endpoint;
    const chunk = new Uint8Array(16_384);
    let isWritable = true;
    while (isWritable) {
      isWritable = session.write(1, chunk);
    }
    let received = 0;
    for (let round = 0; round < 50; round += 1) {
      peer.endpoint.do(() => session.write(3, chunk));
      received += chunk.byteLength;
      peer.send(at("WINDOW", 3, received + windowBytes), at("ACK", 3, received - chunk.byteLength));
      await peer.settle();
    }
    const bytesOf = (stream: number) =>
      peer.frames.reduce(
        (sum, frame) =>
          sum + (frame.type === "DATA" && frame.stream === stream ? frame.body.byteLength : 0),
        0,
      );
    expect([bytesOf(1), bytesOf(3)]).toEqual([65_536, 50 * chunk.byteLength]);
    expect(await peer.end()).toBeUndefined();
  });

  it("a keystroke goes out before a bulk load that waits (invariant 11)", async () => {
    await meetGateway();
    peer.open(3);
    peer.send(at("WINDOW", 1, maxWindowBytes));
    await peer.settle();
    peer.endpoint.do((session) => {
      session.write(1, new Uint8Array(4_000_000));
      session.write(3, new Uint8Array(10));
    });
    await peer.settle();
    const order = peer.frames.filter((frame) => frame.type === "DATA").map(({ stream }) => stream);
    expect([order[0], order.length > 20]).toEqual([3, true]);
  });

  it("a gateway that breaks the protocol is told so, too", async () => {
    peer = await RawPeer.meet(carrier, "agent");
    peer.open(1);
    expect(await peer.end()).toBe("tunnel.protocol");
  });

  it("a gateway that says to go on with what nobody asked for is refused", async () => {
    peer = await RawPeer.meet(carrier, "agent", { resumed: { streams: 0 } });
    expect(await peer.end()).toBe("tunnel.protocol");
  });
});
