import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { JitdbError } from "../errors.ts";
import {
  BodyCollector,
  bodyBytesIn,
  type Message,
  MessageCollector,
  MessageWalker,
} from "./decoder.ts";
import { frontendMessages, postgresLimits, type Sender } from "./messages.ts";
import { encodeMessage } from "./writer.ts";

const types = [...new Set(Object.values(frontendMessages))];
const anyMessages = fc.array(
  fc.record({ type: fc.constantFrom(...types), body: fc.uint8Array({ maxLength: 40 }) }),
  { maxLength: 12 },
);

function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function stream(messages: readonly Message[]): Uint8Array {
  return concat(messages.map(({ type, body }) => encodeMessage(type, body)));
}

/** Cuts bytes at the given places; places out of range give empty chunks, which must not matter either. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const edges = [0, ...places.map((place) => place % (bytes.length + 1)), bytes.length];
  edges.sort((a, b) => a - b);
  return edges.slice(1).map((edge, index) => bytes.subarray(edges[index], edge));
}

function collect(chunks: readonly Uint8Array[], sender: Sender = "frontend", cap = 1_000) {
  const collector = new MessageCollector(sender, cap);
  const messages: Message[] = [];
  for (const chunk of chunks) {
    collector.push(chunk);
    for (let message = collector.next(); message; message = collector.next()) {
      messages.push({ type: message.type, body: message.body.slice() });
    }
  }
  return { messages, isAtEnd: collector.isAtEnd };
}

function header(type: number, length: number): Uint8Array {
  return Uint8Array.of(type, length >>> 24, length >>> 16, length >>> 8, length);
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    return error instanceof JitdbError ? error.code : String(error);
  }
  return "nothing";
}

const sync = encodeMessage(frontendMessages.Sync);
const query = encodeMessage(frontendMessages.Query, Uint8Array.of(0x41, 0x42, 0));

describe("MessageWalker", () => {
  test("any split of a stream gives the same messages", () => {
    fc.assert(
      fc.property(anyMessages, fc.array(fc.nat()), (messages, places) => {
        const { messages: found, isAtEnd } = collect(cut(stream(messages), places));
        expect(found).toEqual(messages);
        expect(isAtEnd).toBe(true);
      }),
    );
  });

  test("its segments put together are the stream, with no gap inside a chunk", () => {
    fc.assert(
      fc.property(anyMessages, fc.array(fc.nat()), (messages, places) => {
        const bytes = stream(messages);
        const walker = new MessageWalker("frontend");
        const forwarded: Uint8Array[] = [];
        for (const chunk of cut(bytes, places)) {
          walker.push(chunk);
          let offset = 0;
          for (let segment = walker.next(); segment; segment = walker.next()) {
            expect(segment.start).toBe(offset);
            expect(segment.end).toBeGreaterThan(segment.start);
            expect(segment.last).toBe(segment.remaining === 0);
            expect(walker.isBetweenMessages).toBe(segment.last);
            forwarded.push(segment.carried, chunk.subarray(segment.start, segment.end));
            offset = segment.end;
          }
        }
        expect(concat(forwarded)).toEqual(bytes);
      }),
    );
  });

  test("reports a run as the messages that it is made of, however the stream is cut", () => {
    const { CopyData, CopyDone } = frontendMessages;
    const rows = fc.record({
      type: fc.constantFrom(CopyData, CopyData, CopyData, CopyDone),
      body: fc.uint8Array({ maxLength: 12 }),
    });
    const tally = (chunks: readonly Uint8Array[], runs: ReadonlySet<number>) => {
      const walker = new MessageWalker("frontend", runs);
      const messages: number[] = [];
      let [bytes, taken] = [0, 0];
      for (const chunk of chunks) {
        walker.push(chunk);
        for (let segment = walker.next(); segment; segment = walker.next()) {
          const begun = Number(segment.first) + segment.followers;
          messages.push(...Array<number>(begun).fill(segment.type));
          bytes += bodyBytesIn(segment);
          taken += segment.carried.length + segment.end - segment.start;
          expect(segment.followers === 0 || (segment.last && runs.has(segment.type))).toBe(true);
        }
      }
      return { messages, bytes, taken, isAtEnd: walker.isAtEnd };
    };
    fc.assert(
      fc.property(fc.array(rows, { maxLength: 30 }), fc.array(fc.nat()), (messages, places) => {
        const chunks = cut(stream(messages), places);
        const inRuns = tally(chunks, new Set([CopyData]));
        expect(inRuns).toEqual(tally(chunks, new Set()));
        expect(inRuns.messages).toEqual(messages.map(({ type }) => type));
      }),
    );
  });

  test("leaves a wrong message behind a run to be refused", () => {
    const row = encodeMessage(frontendMessages.CopyData, Uint8Array.of(1));
    for (const length of [3, 0, 0xffff_ffff]) {
      const walker = new MessageWalker("frontend", new Set([frontendMessages.CopyData]));
      walker.push(concat([row, row, row, header(frontendMessages.CopyData, length)]));
      expect(walker.next()).toMatchObject({ start: 0, end: 18, followers: 2, last: true });
      expect(codeOf(() => walker.next())).toBe("postgres.protocol");
    }
  });

  test("random bytes end in messages or in postgres.protocol", () => {
    fc.assert(
      fc.property(fc.uint8Array(), fc.array(fc.nat()), (bytes, places) => {
        const code = codeOf(() => collect(cut(bytes, places), "backend", 2 ** 31));
        expect(["nothing", "postgres.protocol"]).toContain(code);
      }),
      { examples: [[new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"), []]] },
    );
  });

  test.each([0, 1, 2, 3, 2 ** 31, 2 ** 32 - 1])(
    "refuses an announced length of %d (invariant 14)",
    (length) => {
      const walker = new MessageWalker("frontend");
      walker.push(header(frontendMessages.Query, length));
      expect(codeOf(() => walker.next())).toBe("postgres.protocol");
      expect(codeOf(() => walker.next())).toBe("postgres.protocol");
    },
  );

  test.each([4, 5, 2 ** 31 - 1])("takes an announced length of %d (invariant 14)", (length) => {
    const walker = new MessageWalker("frontend");
    walker.push(header(frontendMessages.Query, length));
    expect(walker.next()).toMatchObject({ length, remaining: length - 4, last: length === 4 });
  });

  test("refuses a type that the other side alone sends", () => {
    const walker = new MessageWalker("frontend");
    walker.push(encodeMessage(0x5a, Uint8Array.of(0x49)));
    expect(codeOf(() => walker.next())).toBe("postgres.protocol");
  });

  test("reports nothing of a split header until it is whole, so that a notice may go before it", () => {
    const walker = new MessageWalker("frontend");
    walker.push(query.subarray(0, 3));
    expect(walker.next()).toBeUndefined();
    expect(walker.isBetweenMessages).toBe(true);
    expect(walker.isAtEnd).toBe(false);
    walker.push(query.subarray(3, 6));
    expect(walker.next()).toMatchObject({
      carried: query.subarray(0, 3),
      start: 0,
      bodyStart: 2,
      end: 3,
      first: true,
      last: false,
    });
    expect(walker.isBetweenMessages).toBe(false);
  });

  test("lets the last byte of a message be held back", () => {
    const walker = new MessageWalker("frontend");
    walker.push(query);
    const segment = walker.next();
    expect(segment).toMatchObject({ start: 0, end: query.length, last: true });
  });

  test("hands over what is behind a message, a split header in front", () => {
    const walker = new MessageWalker("frontend");
    walker.push(concat([sync, query]));
    walker.next();
    expect(walker.takeRest()).toEqual(query);
    walker.push(concat([sync, query.subarray(0, 2)]));
    walker.next();
    walker.next();
    expect(walker.takeRest()).toEqual(query.subarray(0, 2));
    expect(walker.isAtEnd).toBe(true);
  });

  test("refuses to hand over inside a message, and a chunk before the last one was reported", () => {
    const walker = new MessageWalker("frontend");
    walker.push(query.subarray(0, 6));
    walker.next();
    expect(() => walker.takeRest()).toThrow(RangeError);
    walker.push(concat([query.subarray(6), sync]));
    walker.next();
    expect(() => walker.push(sync)).toThrow(RangeError);
  });
});

describe("BodyCollector", () => {
  test("gives a view, not a copy, of a body that lies in one chunk", () => {
    const walker = new MessageWalker("frontend");
    const bodies = new BodyCollector(100);
    walker.push(query);
    const segment = walker.next();
    const body = segment && bodies.add(query, segment);
    expect(body).toEqual(query.subarray(5));
    expect(body?.buffer).toBe(query.buffer);
  });

  test("refuses a segment whose message it has not seen begin", () => {
    const walker = new MessageWalker("frontend");
    walker.push(query.subarray(0, 6));
    walker.next();
    const tail = query.subarray(6);
    walker.push(tail);
    const segment = walker.next();
    expect(() => segment && new BodyCollector(100).add(tail, segment)).toThrow(RangeError);
  });
});

describe("MessageCollector", () => {
  test("takes a message of the cap and refuses one byte more before keeping any of it (invariant 14)", () => {
    const cap = 64;
    expect(collect([header(frontendMessages.Query, cap)], "frontend", cap).messages).toEqual([]);
    const over = header(frontendMessages.Query, cap + 1);
    expect(codeOf(() => collect([over], "frontend", cap))).toBe("postgres.too_large");
    const huge = header(frontendMessages.Query, postgresLimits.maxMessageLength);
    expect(codeOf(() => collect([huge], "frontend", cap))).toBe("postgres.too_large");
  });

  test("hands the bytes behind the login over", () => {
    const collector = new MessageCollector("frontend", 100);
    collector.push(concat([sync, query]));
    expect(collector.next()).toEqual({ type: frontendMessages.Sync, body: new Uint8Array(0) });
    expect(collector.takeRest()).toEqual(query);
  });
});
