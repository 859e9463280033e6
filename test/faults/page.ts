// docs/errors.md: the fault table and the catalogue, for people to look things up.

import { catalogue, exitCodes } from "@jitdb/shared/errors";
import type { ShownGroup } from "./fault.ts";
import { type TunnelFault, tunnelFaults } from "./groups/tunnel.ts";

/** The whole page. */
export function describeFaults(groups: readonly ShownGroup[]): string {
  const sections = [
    "# Errors\n\nMade of the code by `node scripts/run.mjs docs`; tests run every row below, to the letter. `<names>` stand for values that\ndiffer from run to run.",
    `## Exit codes\n\n| Code | Name |\n|---|---|\n${Object.entries(exitCodes)
      .map(([name, code]) => `| ${code} | ${name} |`)
      .join("\n")}`,
    "## What goes wrong, and what it looks like",
    ...groups.map(describeGroup),
    describeTunnelFaults(tunnelFaults),
    `## Codes\n\n| Code | HTTP | SQLSTATE | Exit | Hint |\n|---|---|---|---|---|\n${Object.entries(
      catalogue,
    )
      .map(
        ([code, { http, sqlstate, exit, hint }]) =>
          `| \`${code}\` | ${http} | ${sqlstate} | ${exit} | ${escapeCell(hint)} |`,
      )
      .join("\n")}`,
  ];
  return `${sections.join("\n\n")}\n`;
}

function describeGroup({ title, faults }: ShownGroup): string {
  const rows = faults.map(({ condition, command, stdout = [], stderr, exit, advice }) => {
    const transcript = [`$ ${command}`, ...stdout, ...stderr].join("\n");
    const after = advice === undefined ? "" : `\n\n${advice}`;
    return `**${condition}** (exit code ${exit})\n\n\`\`\`\`console\n${transcript}\n\`\`\`\`${after}`;
  });
  return [`### ${title}`, ...rows].join("\n\n");
}

/** Nobody types these, so they are a table. */
function describeTunnelFaults(faults: readonly TunnelFault[]): string {
  const rows = faults.map(({ condition, reads, closes, record }) => {
    const told = reads.length > 0 ? reads.join(" ") : `nothing; the record says: ${record}`;
    return `| ${condition} | ${escapeCell(told)} | ${closes} |`;
  });
  return [
    "### Garbage in the tunnel\n\nThe peer has a valid login. Only its own tunnel ends, on record; 1006 is a connection that was cut.",
    ["| A peer that | Reads | Close code |", "|---|---|---|", ...rows].join("\n"),
  ].join("\n\n");
}

function escapeCell(text: string): string {
  return text.replaceAll("|", "\\|");
}
