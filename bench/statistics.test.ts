import { describe, expect, it } from "vitest";
import { median, percentile, ratioOf } from "./statistics.ts";

describe("statistics of a measure", () => {
  it("takes the middle of odd and of even numbers of values", () => {
    expect([median([3, 1, 2]), median([4, 1, 2, 3]), median([])]).toEqual([2, 2.5, Number.NaN]);
  });

  it("takes percentiles by nearest rank", () => {
    const values = Array.from({ length: 100 }, (_, index) => 100 - index);
    expect([percentile(values, 0.5), percentile(values, 0.99), percentile([7], 0.99)]).toEqual([
      50, 99, 7,
    ]);
  });

  it("compares round by round, not the medians", () => {
    expect(ratioOf([10, 40], [20, 40])).toEqual({ median: 0.75, least: 0.5, most: 1 });
  });
});
