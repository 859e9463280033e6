import { describe, expect, it } from "vitest";
import { tunnelLimits } from "./limits.ts";
import { SendBuffer } from "./send-buffer.ts";

const { chunkCostBytes } = tunnelLimits;

function bufferOf(...chunks: readonly number[][]): SendBuffer {
  const buffer = new SendBuffer();
  for (const chunk of chunks) {
    buffer.push(Uint8Array.from(chunk));
  }
  return buffer;
}

describe("SendBuffer", () => {
  it("gives bytes in order, cut where it is asked to, and keeps them", () => {
    const buffer = bufferOf([1, 2, 3], [], [4, 5], [6]);
    expect([buffer.take(2), buffer.take(3), buffer.take(9), buffer.take(9)]).toEqual([
      [Uint8Array.of(1, 2)],
      [Uint8Array.of(3), Uint8Array.of(4, 5)],
      [Uint8Array.of(6)],
      [],
    ]);
    expect([buffer.unsentBytes, buffer.cursor, buffer.end]).toEqual([0, 6, 6]);
    expect(buffer.keptBytes).toBe(6 + 3 * chunkCostBytes);
  });

  it("gives a whole chunk as it was pushed, not a copy", () => {
    const chunk = Uint8Array.of(1, 2, 3);
    const buffer = new SendBuffer();
    buffer.push(chunk);
    expect(buffer.take(3)[0]).toBe(chunk);
  });

  it("sends again from where the peer stands, in the middle of a chunk, too", () => {
    const buffer = bufferOf([1, 2, 3], [4, 5, 6], [7]);
    buffer.take(5);
    buffer.release(4);
    buffer.rewind();
    expect([buffer.released, buffer.cursor, buffer.unsentBytes]).toEqual([4, 4, 3]);
    // The chunk that is cut is in memory as a whole.
    expect(buffer.keptBytes).toBe(4 + 2 * chunkCostBytes);
    expect(buffer.take(9)).toEqual([Uint8Array.of(5, 6), Uint8Array.of(7)]);
    buffer.release(7);
    expect(buffer.keptBytes).toBe(0);
    buffer.push(Uint8Array.of(8));
    expect(buffer.take(9)).toEqual([Uint8Array.of(8)]);
  });

  it("keeps nothing of what is released, however it is cut", () => {
    const buffer = new SendBuffer();
    for (let round = 0; round < 1000; round += 1) {
      buffer.push(new Uint8Array(7).fill(round));
      buffer.take(5);
      buffer.release(Math.max(0, buffer.cursor - 3));
    }
    buffer.take(7000);
    buffer.release(7000);
    expect([buffer.keptBytes, buffer.end]).toEqual([0, 7000]);
  });

  it("gives each chunk back once, when all of it is acknowledged", () => {
    const back: Uint8Array[] = [];
    const buffer = new SendBuffer((chunk) => back.push(chunk));
    const chunks = [Uint8Array.of(1, 2), Uint8Array.of(3, 4), Uint8Array.of(5)];
    for (const chunk of chunks) {
      buffer.push(chunk);
    }
    buffer.take(5);
    buffer.release(1);
    buffer.rewind();
    expect(back).toEqual([]);
    buffer.take(5);
    buffer.release(4);
    expect(back).toEqual(chunks.slice(0, 2));
    buffer.release(5);
    expect(back).toEqual(chunks);
  });
});
