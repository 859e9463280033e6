import { describe, expect, it } from "vitest";
import { canonicalJson } from "./canonical.ts";
import { type ChainHead, chainStart, hashLine, verifyChain } from "./chain.ts";

function buildChain(texts: readonly string[]): { lines: Buffer[]; head: ChainHead } {
  const lines: Buffer[] = [];
  let head = chainStart;
  for (const text of texts) {
    const line = canonicalJson({ seq: head.seq + 1, prev: head.hash, kind: "test", text });
    head = { seq: head.seq + 1, hash: hashLine(line) };
    lines.push(Buffer.from(line));
  }
  return { lines, head };
}

function faultOf(lines: readonly Uint8Array[], to?: ChainHead) {
  const verdict = verifyChain(lines, to === undefined ? {} : { to });
  return verdict.whole ? undefined : verdict.fault;
}

describe("the canonical form", () => {
  it("sorts keys, leaves undefined out and escapes what a terminal obeys (invariant 24)", () => {
    const value = {
      b: 1,
      a: ["\u001b]52;c;x\u0007", "\u009b31m", "\u0000", "\u202e", "é\u2028"],
      c: undefined,
    };
    expect(canonicalJson(value)).toBe(
      '{"a":["\\u001b]52;c;x\\u0007","\\u009b31m","\\u0000","\\u202e","é\\u2028"],"b":1}',
    );
  });

  it("gives the values back that went in", () => {
    const value = { text: '\r\n{"seq":1}\u0000\u001b\u2029', list: [null, true, 1.5, {}] };
    expect(JSON.parse(canonicalJson(value))).toEqual(value);
  });

  it("refuses fields whose order JavaScript decides", () => {
    expect(() => canonicalJson({ 10: 1, 9: 2 })).toThrow(RangeError);
    expect(() => canonicalJson(JSON.parse('{"__proto__":"x"}'))).toThrow(RangeError);
  });

  it.each([[Number.NaN], [Number.POSITIVE_INFINITY], [1n], [() => 0]])("refuses %s", (value) => {
    expect(() => canonicalJson({ value })).toThrow(RangeError);
  });
});

describe("the chain", () => {
  const { lines, head } = buildChain(["one", "two", "three", "four"]);

  it("accepts what was written and goes on from its head", () => {
    expect(verifyChain(lines)).toEqual({ whole: true, head });
    const half = verifyChain(lines.slice(0, 2));
    expect(half.whole && verifyChain(lines.slice(2), { from: half.head, to: head })).toEqual({
      whole: true,
      head,
    });
  });

  it("finds every flipped bit and names its record or the one that it is chained to (invariant 26)", () => {
    for (const [index, line] of lines.entries()) {
      for (let bit = 0; bit < line.length * 8; bit += 1) {
        const changed = Buffer.from(line);
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        const fault = faultOf(lines.with(index, changed), head);
        expect([index + 1, index + 2, head.seq]).toContain(fault?.seq);
      }
    }
  });

  it("finds a deleted, moved, repeated and inserted record (invariant 26)", () => {
    const [one, two, three, four] = lines as [Buffer, Buffer, Buffer, Buffer];
    expect(faultOf([one, three, four])).toMatchObject({ seq: 2, problem: "misnumbered" });
    expect(faultOf([one, three, two, four])).toMatchObject({ seq: 2, problem: "misnumbered" });
    expect(faultOf([one, one, two, three, four])).toMatchObject({ seq: 2, problem: "misnumbered" });
    const forged = Buffer.from(canonicalJson({ seq: 3, prev: hashLine(two), kind: "forged" }));
    expect(faultOf([one, two, forged, four])).toMatchObject({ seq: 4, problem: "unlinked" });
  });

  it("finds a cut tail and a replaced journal by a head that was kept elsewhere (invariant 26)", () => {
    expect(faultOf(lines.slice(0, 3), head)).toMatchObject({ seq: 3, problem: "headless" });
    const replaced = buildChain(["one", "two", "three", "forged"]).lines;
    expect(faultOf(replaced, head)).toMatchObject({ seq: 4, problem: "headless" });
  });

  it("calls a record that is not in canonical form malformed", () => {
    const spaced = Buffer.from(lines[0]?.toString().replace(",", ", ") ?? "");
    expect(faultOf([spaced])).toMatchObject({ seq: 1, problem: "malformed" });
    expect(faultOf([Buffer.from("[1]")])).toMatchObject({ seq: 1, problem: "malformed" });
    expect(faultOf([Buffer.from([0xff])])).toMatchObject({ seq: 1, problem: "malformed" });
  });
});
