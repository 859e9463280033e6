import { describe, expect, it } from "vitest";
import { repeat } from "./repeat.ts";

/** Work whose runs the test ends one by one. */
function heldWork() {
  const runs: ((outcome: number | Error) => void)[] = [];
  let begun = () => {};
  const work = () =>
    new Promise<number>((resolve, reject) => {
      runs.push((outcome) => (outcome instanceof Error ? reject(outcome) : resolve(outcome)));
      begun();
    });
  const nextRun = () => new Promise<void>((resolve) => (begun = resolve));
  return { work, runs, nextRun };
}

describe("repeated work", () => {
  it("runs once at a time, and once more for wakes that came meanwhile", async () => {
    const { work, runs, nextRun } = heldWork();
    const repeated = repeat(work, () => {});
    repeated.wake();
    repeated.wake();
    expect(runs).toHaveLength(1);
    const next = nextRun();
    runs[0]?.(3_600_000);
    await next;
    const stopped = repeated.stop();
    runs[1]?.(0);
    await stopped;
    repeated.wake();
    expect(runs).toHaveLength(2);
  });

  it("goes on after an error", async () => {
    const { work, runs, nextRun } = heldWork();
    const errors: unknown[] = [];
    const repeated = repeat(work, (error) => errors.push(error), 0);
    const next = nextRun();
    runs[0]?.(new Error("broken"));
    await next;
    expect(errors).toEqual([new Error("broken")]);
    runs[1]?.(3_600_000);
    await repeated.stop();
  });
});
