// docs/wire-support.md has a row for every message of the protocol, and the tests that it names are there.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  authenticationCodes,
  backendMessages,
  frontendMessages,
} from "../../packages/shared/src/postgres/messages.ts";

const root = join(import.meta.dirname, "..", "..");
const text = readFileSync(join(root, "docs", "wire-support.md"), "utf8");

/** The rows of the table below a heading: the first two cells of each. */
function rowsOf(heading: string): (readonly [string, string])[] {
  const [, section = ""] = text.split(`${heading}`);
  const lines = section.trimStart().split("\n");
  const table = lines.slice(lines.findIndex((line) => line.startsWith("|")));
  const end = table.findIndex((line) => !line.startsWith("|"));
  return table.slice(2, end === -1 ? undefined : end).map((line) => {
    const [, name = "", code = ""] = line.split("|").map((cell) => cell.trim());
    return [name.replaceAll("`", ""), code] as const;
  });
}

function byLetter(table: Readonly<Record<string, number>>) {
  return Object.entries(table).map(([name, type]) => [name, String.fromCharCode(type)]);
}

describe("docs/wire-support.md", () => {
  it("has a row for every message of a client", () => {
    expect(rowsOf("## Messages of the client")).toEqual(byLetter(frontendMessages));
  });

  it("has a row for every message of a server", () => {
    expect(rowsOf("## Messages of the server")).toEqual(byLetter(backendMessages));
  });

  it("has a row for every authentication request", () => {
    const codes = Object.entries(authenticationCodes).map(([name, code]) => [name, String(code)]);
    expect(rowsOf("refused | answer to a Describe |\n\n")).toEqual(codes);
  });

  it("lists at most a dozen differences, each with tests that are there", () => {
    const rows = text.split("\n").filter((line) => /^\| \d+ \|/.test(line));
    expect(rows.length).toBeLessThanOrEqual(12);
    for (const row of rows) {
      const tests = Array.from(row.matchAll(/`([\w./-]+\.test\.ts)`/g), ([, file = ""]) => file);
      expect(tests.length, row).toBeGreaterThan(0);
      expect(tests.filter((file) => !existsSync(join(root, file)))).toEqual([]);
    }
  });
});
