import { constants, PerformanceObserver } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { Nursery } from "@jitdb/shared/nursery";
import { expect, it } from "vitest";
import { nursery } from "./nursery.ts";

const readBytes = 16 * 1024;
const megabyte = 1024 * 1024;

/** Reads that nobody keeps; gives the kinds of collections meanwhile. */
async function collectionsOf(megabytes: number, filled: (byteCount: number) => void) {
  const kinds: unknown[] = [];
  const observer = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { detail } = entry as unknown as { readonly detail: { readonly kind: number } };
      kinds.push(detail.kind);
    }
  });
  observer.observe({ entryTypes: ["gc"] });
  for (let count = 0; count < (megabytes * megabyte) / readBytes; count += 1) {
    filled(new Uint8Array(readBytes).byteLength);
  }
  await delay(50);
  observer.disconnect();
  return kinds;
}

it("collects the young generation for every four megabytes", async () => {
  const kinds = await collectionsOf(40, (byteCount) => nursery.filled(byteCount));
  const minor = kinds.filter((kind) => kind === constants.NODE_PERFORMANCE_GC_MINOR);
  expect(minor.length).toBeGreaterThanOrEqual(10);
  expect(process.memoryUsage().arrayBuffers).toBeLessThan(40 * megabyte);
});

it("leaves it to V8 where that shows no collector, and the flag as it was", async () => {
  const asked: string[] = [];
  const blind = new Nursery({
    setFlagsFromString(flags) {
      asked.push(flags);
      setFlagsFromString(flags);
    },
    runInNewContext: () => undefined,
  });
  blind.filled(100 * megabyte);
  blind.filled(100 * megabyte);
  expect(asked).toEqual(["--expose-gc", "--no-expose-gc"]);
});
