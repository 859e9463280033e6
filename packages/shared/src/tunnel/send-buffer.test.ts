import { describe, expect, it } from "vitest";
import { SendBuffer } from "./send-buffer.ts";

function bufferOf(...chunks: readonly number[][]): SendBuffer {
  const buffer = new SendBuffer();
  for (const chunk of chunks) {
    buffer.push(Uint8Array.from(chunk));
  }
  return buffer;
}

describe("SendBuffer", () => {
  it("gives bytes in order, cut where it is asked to, and keeps them", () => {
    const buffer = bufferOf([1, 2, 3], [], [4, 5]);
    expect([buffer.take(2), buffer.take(9), buffer.take(9), buffer.take(9)]).toEqual([
      Uint8Array.of(1, 2),
      Uint8Array.of(3),
      Uint8Array.of(4, 5),
      undefined,
    ]);
    expect([buffer.unsentBytes, buffer.byteLength, buffer.cursor, buffer.end]).toEqual([
      0, 5, 5, 5,
    ]);
  });

  it("gives a whole chunk as it was pushed, not a copy", () => {
    const chunk = Uint8Array.of(1, 2, 3);
    const buffer = new SendBuffer();
    buffer.push(chunk);
    expect(buffer.take(3)).toBe(chunk);
  });

  it("sends again from where the peer stands, in the middle of a chunk, too", () => {
    const buffer = bufferOf([1, 2, 3], [4, 5, 6], [7]);
    buffer.take(3);
    buffer.take(2);
    buffer.release(4);
    buffer.rewind();
    expect([buffer.cursor, buffer.byteLength, buffer.unsentBytes]).toEqual([4, 3, 3]);
    expect([buffer.take(9), buffer.take(9)]).toEqual([Uint8Array.of(5, 6), Uint8Array.of(7)]);
    buffer.release(7);
    buffer.push(Uint8Array.of(8));
    expect([buffer.byteLength, buffer.take(9)]).toEqual([1, Uint8Array.of(8)]);
  });

  it("keeps nothing of what is released, however it is cut", () => {
    const buffer = new SendBuffer();
    let position = 0;
    for (let round = 0; round < 1000; round += 1) {
      buffer.push(new Uint8Array(7).fill(round));
      const body = buffer.take(5);
      position += body?.byteLength ?? 0;
      buffer.release(Math.max(0, position - 3));
    }
    while (buffer.take(4) !== undefined) {
      // Until all is sent.
    }
    buffer.release(7000);
    expect([buffer.byteLength, buffer.end]).toEqual([0, 7000]);
  });
});
