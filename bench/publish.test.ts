import { describe, expect, it } from "vitest";
import { chartOf } from "./chart.ts";
import { type PublishedRun, toRatioTable, withRun } from "./publish.ts";

const rounds = (path: string, ...values: number[]) => ({
  path,
  results: values.map((value) => ({ value })),
  cpuSeconds: values.map(() => 0),
});

const run: PublishedRun = {
  date: "2026-11-29",
  machine: "2 cores",
  scale: "3 rounds",
  measures: [
    {
      measure: "copy out",
      unit: "MB/s",
      per: "GB",
      paths: [rounds("direct", 100, 200), rounds("ssh", 50, 100), rounds("jitdb", 60, 100)],
    },
    {
      measure: "audit: pgbench simple c16",
      unit: "tps",
      per: "transaction",
      paths: [rounds("unrecorded", 1000, 2000), rounds("jitdb", 880, 1760)],
    },
    {
      measure: "memory: agent",
      unit: "MB",
      per: undefined,
      paths: [rounds("jitdb", 91.26)],
    },
  ],
};

describe("a published run", () => {
  it("has a row for each measure: ratios to direct, and to what the floor is held against", () => {
    expect(toRatioTable(run)).toContain(
      "| copy out | 0.50 |  |  | 0.55 (0.50–0.60) | 1.10 of ssh (≥ 1): floor |",
    );
  });

  it("has jitdb's own value where there is no direct connection, and the floor in its unit or of jitdb without records", () => {
    expect(toRatioTable(run)).toContain(
      "| audit: pgbench simple c16 |  |  |  | 1320 tps | 0.88 of jitdb without records (≥ 0.85): floor |\n" +
        "| memory: agent |  |  |  | 91.3 MB | 91.3 MB (≤ 90): **missed** |",
    );
  });

  it("takes the place of the last one on the page, and leaves the rest alone", () => {
    const page = "Before.\n<!-- newest run -->\nold\n<!-- end of the newest run -->\nBehind.\n";
    const next = withRun(page, run);
    expect(next).toMatch(/^Before\.\n<!-- newest run -->\n2026-11-29, 2 cores, 3 rounds\./);
    expect(next).toMatch(/<!-- end of the newest run -->\nBehind\.\n$/);
    expect(next).not.toContain("old");
    expect(withRun(next, run)).toBe(next);
  });

  it("is refused by a page that has no place for it", () => {
    expect(() => withRun("nothing", run)).toThrow("no place for a run");
  });

  it("is drawn with a bar for each path but the direct one, as long as its ratio to that", () => {
    const chart = chartOf(run);
    const widths = [...chart.matchAll(/width="([\d.]+)" height="8"/g)].map(([, width]) =>
      Number(width),
    );
    expect(widths).toHaveLength(2);
    expect((widths[1] ?? 0) / (widths[0] ?? 1)).toBeCloseTo(1.1, 2);
  });
});
