// A drawing of a run: for each measure a bar for each path, as long as its ratio to a direct connection. Measures without one are not drawn.

import type { PublishedRun } from "./publish.ts";
import { valuesOf } from "./report.ts";
import { ratioOf } from "./statistics.ts";

/** In pixels. */
const layout = { width: 760, left: 250, right: 60, top: 44, bar: 9, gap: 14 } as const;
/** Longer bars end here, with their number behind them. */
const mostRatio = 1.6;

const colours: Readonly<Record<string, string>> = {
  ssh: "#8a8f98",
  pgbouncer: "#c3a26b",
  bare: "#b9d0ee",
  jitdb: "#2f6fde",
};
const names: Readonly<Record<string, string>> = {
  ssh: "ssh -L",
  pgbouncer: "PgBouncer",
  bare: "bare Node",
  jitdb: "jitdb",
};

/** An SVG picture. */
export function chartOf({ measures }: Pick<PublishedRun, "measures">): string {
  const unit = (layout.width - layout.left - layout.right) / mostRatio;
  const parts: string[] = [];
  let y: number = layout.top;
  for (const { measure, paths } of measures) {
    const direct = valuesOf(paths.find(({ path }) => path === "direct"));
    if (direct.length === 0) {
      continue;
    }
    const bars = paths.filter(({ path }) => path !== "direct");
    const middle = y + (bars.length * layout.bar) / 2 + 4;
    parts.push(`<text x="${layout.left - 10}" y="${middle}" text-anchor="end">${measure}</text>`);
    for (const rounds of bars) {
      const { median } = ratioOf(valuesOf(rounds), direct);
      const length = Math.min(median, mostRatio) * unit;
      const box = `x="${layout.left}" y="${y}" width="${length.toFixed(1)}" height="${layout.bar - 1}"`;
      parts.push(`<rect ${box} fill="${colours[rounds.path] ?? "#888"}"/>`);
      const place = `x="${(layout.left + length + 4).toFixed(1)}" y="${y + layout.bar - 1}"`;
      parts.push(`<text ${place} class="number">${median.toFixed(2)}</text>`);
      y += layout.bar;
    }
    y += layout.gap;
  }
  const one = layout.left + unit;
  const line = `<line x1="${one}" x2="${one}" y1="${layout.top - 6}" y2="${y - layout.gap + 4}"/>`;
  const legend = Object.entries(names).map(([path, name], index) => {
    const x = layout.left + index * 100;
    return `<rect x="${x}" y="12" width="9" height="9" fill="${colours[path]}"/><text x="${x + 14}" y="20">${name}</text>`;
  });
  const direct = `<text x="${one}" y="${layout.top - 10}" text-anchor="middle">direct</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${layout.width} ${y}" width="${layout.width}" height="${y}" role="img">`,
    "<title>Ratios to a direct connection</title>",
    "<style>text{font:12px sans-serif;fill:#24292f}.number{font-size:9px}line{stroke:#24292f;stroke-dasharray:3 3}</style>",
    `<rect width="${layout.width}" height="${y}" fill="#fff"/>`,
    ...legend,
    direct,
    line,
    ...parts,
    "</svg>",
    "",
  ].join("\n");
}
