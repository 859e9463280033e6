import { tunnelLimits } from "@jitdb/shared/tunnel/limits";
import { expect, test } from "vitest";
import { MessageBuffers } from "./message-buffers.ts";

const chunk = (length: number, fill: number) => new Uint8Array(length).fill(fill);

test("joins chunks in order, small and as large as a message may be", () => {
  const buffers = new MessageBuffers();
  for (const length of [1, 2000, 100_000, tunnelLimits.maxMessageBytes - 3]) {
    const { message } = buffers.join([chunk(3, 1), chunk(length, 2)]);
    expect(Buffer.compare(message, Buffer.concat([chunk(3, 1), chunk(length, 2)]))).toBe(0);
  }
});

test("gives a single chunk as it is", () => {
  const only = chunk(100_000, 1);
  expect(new MessageBuffers().join([only]).message).toBe(only);
});

test("uses memory again once it is released, and not before", () => {
  const buffers = new MessageBuffers();
  const join = () => buffers.join([chunk(5000, 1), chunk(5000, 2)]);
  const first = join();
  const second = join();
  expect(second.message.buffer).not.toBe(first.message.buffer);
  first.release();
  expect(join().message.buffer).toBe(first.message.buffer);
});
