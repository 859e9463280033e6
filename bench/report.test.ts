import { describe, expect, it } from "vitest";
import { type MeasureRounds, reached, toGoalTable, toTable } from "./report.ts";

const measure: MeasureRounds = {
  measure: "pgbench simple c1",
  unit: "tps",
  per: "transaction",
  paths: [
    { path: "direct", results: [{ value: 1000, units: 10 }], cpuSeconds: [0] },
    { path: "ssh", results: [{ value: 400, units: 10 }], cpuSeconds: [0.001] },
    {
      path: "jitdb",
      results: [{ value: 420, units: 10, extras: { "p50 ms": 2.5 } }],
      cpuSeconds: [0.002],
    },
  ],
};

describe("the report", () => {
  it("holds jitdb against the goals that were measured", () => {
    expect(reached([measure])).toMatchObject([
      { measure: "pgbench simple c1", against: "ssh", value: 1.05, verdict: "floor" },
    ]);
    expect(toGoalTable([measure])).toContain(
      "| pgbench simple c1 | ssh | 1.05 | 1 | 1.1 | floor |",
    );
  });

  it("says a missed floor", () => {
    const slow = { ...measure, paths: measure.paths.slice(0, 2) };
    const own = { path: "jitdb", results: [{ value: 100 }], cpuSeconds: [0] };
    expect(reached([{ ...slow, paths: [...slow.paths, own] }])[0]?.verdict).toBe("missed");
  });

  it("holds a goal against what was measured where it names no other path", () => {
    const agent = { path: "jitdb", results: [{ value: 91 }], cpuSeconds: [] };
    const memory = { measure: "memory: agent", unit: "MB", per: undefined, paths: [agent] };
    expect(reached([memory])).toMatchObject([{ value: 91, verdict: "missed" }]);
    expect(toGoalTable([memory])).toContain("| memory: agent |  | 91.00 | 90 |  | missed |");
  });

  it("has a row for each path, with its ratio to direct and its processor time", () => {
    expect(toTable(measure).split("\n").at(-2)).toBe(
      "| jitdb | 420 | 0.42 (0.42–0.42) | 200 µs | p50 ms 2.50 |",
    );
  });
});
