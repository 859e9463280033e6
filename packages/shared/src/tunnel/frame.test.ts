import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JitdbError } from "../errors.ts";
import {
  dataHeaderBytes,
  decodeFrames,
  encodeDataHeader,
  encodeFrame,
  type Frame,
  type FrameType,
  frameHeaderBytes,
  frameLayouts,
  type MapType,
} from "./frame.ts";
import { tunnelLimits } from "./limits.ts";

const types = Object.keys(frameLayouts) as FrameType[];
const mapTypes: MapType[] = ["HELLO", "AUTH", "OPEN", "OPENED", "RESET", "GOAWAY", "NOTICE"];

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.replaceAll(" ", "").match(/../g) ?? [], (byte) =>
    Number.parseInt(byte, 16),
  );
}

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(chunks.flatMap((chunk) => [...chunk]));
}

/** A frame with any header, filled with zeros. */
function rawFrame(code: number, announcedBytes: number, stream: number, actualBytes: number) {
  const bytes = new Uint8Array(frameHeaderBytes + actualBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, code * 0x100_0000 + announcedBytes);
  view.setUint32(4, stream);
  return bytes;
}

function codeOf(decode: () => unknown): string {
  try {
    decode();
  } catch (error) {
    if (error instanceof JitdbError) {
      return error.code;
    }
    throw error;
  }
  return "none";
}

const streamId = fc.integer({ min: 1, max: 0xffff_ffff });
const position = fc.oneof(
  fc.constantFrom(0, 0xffff_ffff, 0x1_0000_0000, tunnelLimits.maxPosition),
  fc.maxSafeNat(),
);
const bytes = (minLength: number) => fc.uint8Array({ minLength, maxLength: 100 });

const mapFrame = fc
  .record({ type: fc.constantFrom(...mapTypes), id: streamId, payload: bytes(2) })
  .map(({ type, id, payload }): Frame => {
    return { type, stream: frameLayouts[type].scope === "tunnel" ? 0 : id, payload };
  });
const anyFrame: fc.Arbitrary<Frame> = fc.oneof(
  mapFrame,
  fc.record({ type: fc.constant("DATA"), stream: streamId, position, body: bytes(1) }),
  fc.record({ type: fc.constantFrom("WINDOW", "ACK", "CLOSE"), stream: streamId, position }),
  fc.record({
    type: fc.constant("PING"),
    stream: fc.constant(0),
    answer: fc.boolean(),
    value: position,
  }),
);

describe("golden bytes of docs/tunnel-protocol.md §3 and §4", () => {
  const golden: [string, Frame][] = [
    ["01 000002 00000000 7b7d", { type: "HELLO", stream: 0, payload: fromHex("7b7d") }],
    ["10 000002 00000001 7b7d", { type: "OPEN", stream: 1, payload: fromHex("7b7d") }],
    [
      "12 00000b 00000003 0000000100000002 616263",
      { type: "DATA", stream: 3, position: 0x1_0000_0002, body: fromHex("616263") },
    ],
    ["13 000008 00000005 0000000000040000", { type: "WINDOW", stream: 5, position: 262_144 }],
    ["14 000008 00000005 0000000000020000", { type: "ACK", stream: 5, position: 131_072 }],
    [
      "15 000008 ffffffff 001fffffffffffff",
      { type: "CLOSE", stream: 0xffff_ffff, position: 2 ** 53 - 1 },
    ],
    [
      "20 000009 00000000 00 0000000000000007",
      { type: "PING", stream: 0, answer: false, value: 7 },
    ],
    ["20 000009 00000000 01 0000000000000007", { type: "PING", stream: 0, answer: true, value: 7 }],
  ];
  for (const [hex, frame] of golden) {
    it(`are ${hex}`, () => {
      expect(encodeFrame(frame)).toEqual(fromHex(hex));
      expect(decodeFrames(fromHex(hex))).toEqual([frame]);
    });
  }
});

describe("decodeFrames", () => {
  it("gives back what was encoded, however many frames share the message", () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 8 }), (frames) => {
        expect(decodeFrames(concat(frames.map(encodeFrame)))).toEqual(frames);
      }),
    );
  });

  it("decodes a view into a larger buffer, and gives views of the same buffer", () => {
    const frame = encodeFrame({ type: "DATA", stream: 1, position: 9, body: fromHex("aabb") });
    const buffer = new Uint8Array(100);
    buffer.set(frame, 41);
    const [decoded] = decodeFrames(buffer.subarray(41, 41 + frame.byteLength));
    expect(decoded).toEqual({ type: "DATA", stream: 1, position: 9, body: fromHex("aabb") });
    expect(decoded?.type === "DATA" && decoded.body.buffer).toBe(buffer.buffer);
  });

  it("turns any bytes into frames or one of our errors (invariant 14)", () => {
    const headerLike = fc
      .tuple(fc.constantFrom(...types), fc.nat(30), fc.constantFrom(0, 1, 3), bytes(0))
      .map(([type, length, id, tail]) =>
        concat([rawFrame(frameLayouts[type].code, length, id, 0), tail]),
      );
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), headerLike), (message) => {
        expect(["none", "tunnel.protocol", "tunnel.too_large"]).toContain(
          codeOf(() => decodeFrames(message)),
        );
      }),
      { numRuns: 1000 },
    );
  });

  it("refuses a message that is cut anywhere", () => {
    for (const type of types) {
      const { code, scope, minPayloadBytes } = frameLayouts[type];
      const whole = rawFrame(code, minPayloadBytes, scope === "tunnel" ? 0 : 1, minPayloadBytes);
      expect(decodeFrames(whole)).toHaveLength(1);
      for (let length = 0; length < whole.byteLength; length += 1) {
        expect(codeOf(() => decodeFrames(whole.subarray(0, length)))).toBe("tunnel.protocol");
      }
    }
  });

  it("refuses a length outside of its type's limits before it looks at the payload (invariant 14)", () => {
    for (const type of types) {
      const { code, scope, minPayloadBytes, maxPayloadBytes } = frameLayouts[type];
      const id = scope === "tunnel" ? 0 : 1;
      const outcome = (announced: number, actual = announced) =>
        codeOf(() => decodeFrames(rawFrame(code, announced, id, actual)));
      expect(outcome(0)).toBe("tunnel.protocol");
      expect(outcome(minPayloadBytes - 1)).toBe("tunnel.protocol");
      expect(outcome(minPayloadBytes)).toBe("none");
      expect(outcome(maxPayloadBytes)).toBe("none");
      expect(outcome(maxPayloadBytes + 1, 0)).toBe("tunnel.too_large");
      expect(outcome(0xff_ffff, 0)).toBe("tunnel.too_large");
    }
  });

  it("refuses a message over the limit, and takes one of exactly the limit", () => {
    const { maxMessageBytes, maxDataPayloadBytes } = tunnelLimits;
    const big = rawFrame(0x12, maxDataPayloadBytes, 1, maxDataPayloadBytes);
    const message = new Uint8Array(maxMessageBytes);
    let filled = 0;
    for (; filled + big.byteLength <= maxMessageBytes; filled += big.byteLength) {
      message.set(big, filled);
    }
    const rest = maxMessageBytes - filled;
    message.set(rawFrame(0x12, rest - frameHeaderBytes, 1, 0), filled);
    expect(decodeFrames(message)).toHaveLength(4);
    const oversized = codeOf(() => decodeFrames(new Uint8Array(maxMessageBytes + 1)));
    expect(oversized).toBe("tunnel.too_large");
  });

  it("refuses unknown types, wrong scopes, unknown PING flags and positions over 2^53 - 1", () => {
    const wrong = [
      "00 000002 00000000 7b7d",
      "03 000002 00000000 7b7d",
      "ff 000002 00000001 7b7d",
      "01 000002 00000001 7b7d",
      "10 000002 00000000 7b7d",
      "12 000009 00000000 0000000000000000 61",
      "20 000009 00000000 02 0000000000000007",
      "13 000008 00000001 0020000000000000",
      "15 000008 00000001 ffffffffffffffff",
    ];
    for (const hex of wrong) {
      expect(codeOf(() => decodeFrames(fromHex(hex)))).toBe("tunnel.protocol");
    }
  });
});

describe("encodeDataHeader", () => {
  it("is what stands before the body in a whole DATA frame", () => {
    const body = fromHex("010203");
    const frame = encodeFrame({ type: "DATA", stream: 7, position: 2 ** 40, body });
    const header = encodeDataHeader(7, 2 ** 40, body.byteLength);
    expect(header).toHaveLength(dataHeaderBytes);
    expect(concat([header, body])).toEqual(frame);
  });

  it("takes the longest body and refuses one byte more", () => {
    const longest = tunnelLimits.maxDataPayloadBytes - 8;
    expect(encodeDataHeader(1, 0, longest)).toHaveLength(dataHeaderBytes);
    expect(codeOf(() => encodeDataHeader(1, 0, longest + 1))).toBe("tunnel.too_large");
  });
});
