import { constants, PerformanceObserver } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { Collector } from "@jitdb/shared/memory/collector";
import { tidyingLimits } from "@jitdb/shared/memory/tidying";
import { execa } from "execa";
import { expect, it } from "vitest";
import { nursery, tidying } from "../../packages/server/src/memory.ts";

const readBytes = 16 * 1024;
const megabyte = 1024 * 1024;

/** The kinds of collections while something is done. */
async function collectionsDuring(work: () => void): Promise<unknown[]> {
  const kinds: unknown[] = [];
  const count = (entries: readonly unknown[]) => {
    for (const { detail } of entries as readonly { readonly detail: { readonly kind: number } }[]) {
      kinds.push(detail.kind);
    }
  };
  const observer = new PerformanceObserver((list) => count(list.getEntries()));
  observer.observe({ entryTypes: ["gc"] });
  work();
  await delay(50);
  // On a busy machine there are some that nobody was told of yet.
  count(observer.takeRecords());
  observer.disconnect();
  return kinds;
}

it("collects the young generation for every four megabytes of fresh memory", async () => {
  const kinds = await collectionsDuring(() => {
    for (let count = 0; count < (48 * megabyte) / readBytes; count += 1) {
      nursery.filled(new Uint8Array(readBytes).byteLength);
    }
  });
  const minor = kinds.filter((kind) => kind === constants.NODE_PERFORMANCE_GC_MINOR);
  // Twelve; on a busy machine not each has been told of by now.
  expect(minor.length).toBeGreaterThanOrEqual(10);
  expect(process.memoryUsage().arrayBuffers).toBeLessThan(40 * megabyte);
});

it("collects the whole heap when the program has rested, and not again for what it needs", {
  timeout: 30_000,
}, async () => {
  /** Whole collections while it looks so often, or until there is one. */
  const rest = async (looks: number) => {
    let majors = 0;
    for (let look = 0; look <= looks && majors === 0; look += 1) {
      await delay(10);
      const kinds = await collectionsDuring(() => tidying.look());
      majors += kinds.filter((kind) => kind === constants.NODE_PERFORMANCE_GC_MAJOR).length;
    }
    return majors;
  };
  const { looksToRest } = tidyingLimits;
  // A busy machine makes a program look busy now and then, and the looks are counted anew.
  expect(await rest(8 * looksToRest)).toBeGreaterThan(0);
  expect(await rest(looksToRest)).toBe(0);
});

it("leaves it to V8 where that shows no collector, and the flag as it was", async () => {
  const asked: string[] = [];
  const blind = new Collector({
    setFlagsFromString(flags) {
      asked.push(flags);
      setFlagsFromString(flags);
    },
    runInNewContext: () => undefined,
  });
  blind.collectYoung();
  blind.collectAll();
  expect(asked).toEqual(["--expose-gc", "--no-expose-gc"]);
});

it("asks nothing of this V8 that it does not know", async () => {
  const said = await execa(process.execPath, [
    "--input-type=module",
    "--eval",
    `import { keepCompiledCode } from ${JSON.stringify(import.meta.resolve("@jitdb/shared/memory/compiled-code"))};
     import { setFlagsFromString } from "node:v8";
     keepCompiledCode({ setFlagsFromString, v8Version: process.versions.v8 });`,
  ]);
  expect(said.stderr).toBe("");
});
