import { describe, expect, it } from "vitest";
import { Tidying, tidyingLimits } from "./tidying.ts";

const megabyte = 1024 * 1024;
const { looksToRest, maxHeapBytes, restingUtilization, worthwhileShare } = tidyingLimits;

/** A program whose heap and busy share the test sets; a collection leaves `tidyBytes` of it. */
class Program {
  bytes = 30 * megabyte;
  busy = 0;
  tidyBytes = 20 * megabyte;
  collections = 0;
  readonly #tidying: Tidying;

  constructor() {
    this.#tidying = new Tidying(
      {
        collectAll: () => {
          this.collections += 1;
          this.bytes = this.tidyBytes;
        },
      },
      {
        getHeapStatistics: () => ({ total_heap_size: this.bytes }),
        eventLoopUtilization: () => ({ idle: 0, active: 0, utilization: this.busy }),
      },
    );
  }

  look(times: number = looksToRest): void {
    for (let count = 0; count < times; count += 1) {
      this.#tidying.look();
    }
  }
}

describe("a program that rests", () => {
  it("gets rid of what its start left, once", () => {
    const program = new Program();
    program.look(100);
    expect(program.collections).toBe(1);
  });

  it("is tidied again after it has grown, and not for less than what is worth it", () => {
    const program = new Program();
    program.look();
    program.bytes = program.tidyBytes * (1 + worthwhileShare) - 1;
    program.look();
    expect(program.collections).toBe(1);
    program.bytes = program.tidyBytes * (1 + worthwhileShare);
    program.look();
    expect(program.collections).toBe(2);
  });

  it("is not tidied over and over for what it needs", () => {
    const program = new Program();
    program.look();
    program.tidyBytes = 100 * megabyte;
    program.bytes = 120 * megabyte;
    program.look(100);
    expect(program.collections).toBe(2);
  });

  it("is left alone with a heap that takes long to collect", () => {
    const program = new Program();
    program.bytes = maxHeapBytes + 1;
    program.look();
    expect(program.collections).toBe(0);
    program.bytes = maxHeapBytes;
    program.look();
    expect(program.collections).toBe(1);
  });
});

describe("a program that works", () => {
  it("is left alone until it has rested for a while", () => {
    const program = new Program();
    program.busy = restingUtilization + 0.01;
    program.look();
    program.busy = restingUtilization;
    program.look(looksToRest - 1);
    expect(program.collections).toBe(0);
    program.look(1);
    expect(program.collections).toBe(1);
  });

  it("begins anew with its rest when it was asked for something", () => {
    const program = new Program();
    program.look(looksToRest - 1);
    program.busy = 0.5;
    program.look(1);
    program.busy = 0;
    program.look(looksToRest - 1);
    expect(program.collections).toBe(0);
  });
});
