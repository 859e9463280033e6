import { describe, expect, it } from "vitest";
import { RecycledMemory } from "./recycled-memory.ts";

describe("RecycledMemory", () => {
  it("gives as much as it is asked for, and never the same memory twice at once", () => {
    const memory = new RecycledMemory();
    const sizes = [1, 4095, 4096, 4097, 65_535, 65_536, 65_537, 1_048_577];
    const pieces = sizes.map((size, index) => memory.take(size).fill(index));
    expect(pieces.map(({ byteLength }) => byteLength)).toEqual(sizes);
    expect(pieces.every((piece, index) => piece.every((byte) => byte === index))).toBe(true);
  });

  it("uses a block again that was given back, once", () => {
    const memory = new RecycledMemory();
    const first = memory.copy(new Uint8Array(5000).fill(7));
    memory.giveBack(first);
    memory.giveBack(first);
    expect(memory.take(8192).buffer).toBe(first.buffer);
    expect(memory.take(8192).buffer).not.toBe(first.buffer);
  });

  it("takes nothing back that it did not lend, and no small pieces, which share their memory", () => {
    const memory = new RecycledMemory();
    const [small, stranger] = [memory.take(100), new Uint8Array(8192)];
    memory.giveBack(small);
    memory.giveBack(stranger);
    expect(memory.take(65_536).buffer).not.toBe(small.buffer);
    expect(memory.take(8192).buffer).not.toBe(stranger.buffer);
  });

  it("joins chunks in order", () => {
    const memory = new RecycledMemory();
    const chunk = (length: number, fill: number) => new Uint8Array(length).fill(fill);
    for (const length of [1, 2000, 100_000]) {
      const joined = memory.join([chunk(3, 1), chunk(0, 3), chunk(length, 2)]);
      expect(joined).toEqual(Uint8Array.from([...chunk(3, 1), ...chunk(length, 2)]));
    }
  });

  it("keeps no more than a few megabytes for the next", () => {
    const memory = new RecycledMemory();
    const blocks = Array.from({ length: 20 }, () => memory.take(1_048_576));
    for (const block of blocks) {
      memory.giveBack(block);
    }
    const buffers = new Set(blocks.map(({ buffer }) => buffer));
    const again = blocks.map(() => memory.take(1_048_576));
    expect(again.filter(({ buffer }) => buffers.has(buffer))).toHaveLength(8);
  });
});
