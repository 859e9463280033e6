import fc from "fast-check";
import { expect, it } from "vitest";
import { ByteQueue } from "./byte-queue.ts";

it("gives the bytes back in order, in pieces of any size", () => {
  const step = fc.oneof(
    fc.record({ push: fc.uint8Array({ maxLength: 20 }) }),
    fc.record({ take: fc.integer({ min: 1, max: 30 }) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const queue = new ByteQueue();
      let oracle: number[] = [];
      for (const operation of steps) {
        if ("push" in operation) {
          queue.push(operation.push);
          oracle.push(...operation.push);
        } else {
          const piece = queue.take(operation.take);
          expect(piece === undefined).toBe(oracle.length === 0);
          const length = piece?.byteLength ?? 0;
          expect(length).toBeLessThanOrEqual(operation.take);
          expect([...(piece ?? [])]).toEqual(oracle.slice(0, length));
          oracle = oracle.slice(length);
        }
        expect(queue.byteLength).toBe(oracle.length);
      }
    }),
  );
});

it("gives views of what was pushed, not copies", () => {
  const queue = new ByteQueue();
  const chunk = Uint8Array.of(1, 2, 3);
  queue.push(chunk);
  expect(queue.take(2)?.buffer).toBe(chunk.buffer);
  expect(queue.take(2)).toEqual(Uint8Array.of(3));
});

it("is empty after clear", () => {
  const queue = new ByteQueue();
  queue.push(Uint8Array.of(1));
  queue.clear();
  expect([queue.byteLength, queue.take(1)]).toEqual([0, undefined]);
});
