import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RecycledMemory } from "../tunnel/recycled-memory.ts";
import { encodeMessage, FastLane } from "./fast-lane.ts";
import { applyMask } from "./mask.ts";

const memory = new RecycledMemory();
const maxMessageBytes = 100_000;

/** What comes out of a lane, messages and other bytes in their order; other bytes that follow one another as one. */
function pass(bytes: Uint8Array, places: readonly number[], isMasked: boolean) {
  const out: { readonly isMessage: boolean; bytes: Uint8Array }[] = [];
  const lane = new FastLane({
    isMasked,
    maxMessageBytes,
    memory,
    onMessage: (message) => out.push({ isMessage: true, bytes: message }),
    onOther: (other) => {
      const last = out.at(-1);
      if (last === undefined || last.isMessage) {
        out.push({ isMessage: false, bytes: other.slice() });
      } else {
        last.bytes = Uint8Array.from([...last.bytes, ...other]);
      }
    },
  });
  const edges = [0, ...places.map((place) => place % (bytes.length + 1)), bytes.length];
  edges.sort((a, b) => a - b);
  for (const [index, edge] of edges.slice(1).entries()) {
    // A read's memory is used again: nothing of it may be kept.
    const chunk = bytes.slice(edges[index], edge);
    lane.push(chunk);
    chunk.fill(0xee);
  }
  return out;
}

const masks = fc.option(fc.uint8Array({ minLength: 4, maxLength: 4 }), { nil: undefined });
const concat = (parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts));

describe("the fast lane", () => {
  it("gives back each message as it was sent, however the bytes are cut", () => {
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.integer({ min: 65_530, max: 65_540 }).map((length) => new Uint8Array(length).fill(length)),
    );
    fc.assert(
      fc.property(
        fc.array(body, { maxLength: 5 }),
        fc.array(fc.nat()),
        masks,
        (bodies, places, mask) => {
          const frames = bodies.map((one) =>
            encodeMessage([one.slice(0, 3), one.slice(3)], memory, mask),
          );
          const out = pass(concat(frames), places, mask !== undefined);
          expect(out.map(({ isMessage }) => isMessage)).toEqual(bodies.map(() => true));
          expect(
            out.every(({ bytes }, index) => Buffer.compare(bytes, bodies[index] ?? bytes) === 0),
          ).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("passes control frames on as they came, in order with the messages", () => {
    const ping = Uint8Array.of(0x89, 3, 1, 2, 3);
    const message = encodeMessage([Uint8Array.of(7)], memory);
    for (const places of [[], [1], [2, 4], [1, 2, 3, 4, 5, 6, 7, 8]]) {
      const out = pass(concat([ping, message, ping, ping]), places, false);
      expect(out).toEqual([
        { isMessage: false, bytes: ping },
        { isMessage: true, bytes: Uint8Array.of(7) },
        { isMessage: false, bytes: concat([ping, ping]) },
      ]);
    }
  });

  it.each([
    ["a close", Uint8Array.of(0x88, 0)],
    ["a text", Uint8Array.of(0x81, 1, 0x41)],
    ["a fragment", Uint8Array.of(0x02, 1, 0x41)],
    ["a continuation", Uint8Array.of(0x80, 1, 0x41)],
    ["a reserved bit", Uint8Array.of(0xc2, 1, 0x41)],
    ["an unknown opcode", Uint8Array.of(0x8b, 0)],
    ["a mask of the wrong side", Uint8Array.of(0x82, 0x81, 1, 2, 3, 4, 5)],
    ["a control frame that is too long", Uint8Array.of(0x89, 126, 0, 200)],
    ["a length that is over the limit", Uint8Array.of(0x82, 127, 0, 0, 0, 0, 0, 1, 0x86, 0xa1)],
    ["a length of 2^63", Uint8Array.of(0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0)],
  ])("leaves everything from %s on to the library, to the byte", (_name, strange) => {
    const before = encodeMessage([Uint8Array.of(1)], memory);
    const tail = concat([strange, before, before]);
    for (let at = 0; at <= tail.length; at += 1) {
      expect(pass(concat([before, tail]), [at, at + 1, before.length], false)).toEqual([
        { isMessage: true, bytes: Uint8Array.of(1) },
        { isMessage: false, bytes: tail },
      ]);
    }
  });
});

describe("the mask", () => {
  it("is laid over each byte by its place, for any place and length", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.nat({ max: 7 }),
        fc.integer({ min: 0, max: 2100 }),
        (mask, offset, length) => {
          const bytes = new Uint8Array(length + offset)
            .map((_, index) => index * 7)
            .subarray(offset);
          const expected = bytes.map((byte, index) => byte ^ (mask[index % 4] ?? 0));
          applyMask(bytes, mask);
          expect(Buffer.compare(bytes, expected)).toBe(0);
        },
      ),
    );
  });
});
