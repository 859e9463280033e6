// docs/security.md names a test for each promise. A test that is not there, or is about something else, proves nothing.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..", "..");
const text = readFileSync(join(root, "docs", "security.md"), "utf8");

interface Promised {
  readonly number: number;
  readonly tests: readonly string[];
  readonly status: string;
}

const promises: readonly Promised[] = text
  .split("\n")
  .filter((line) => /^\| \d+ \|/.test(line))
  .map((line) => {
    const cells = line.split("|").map((cell) => cell.trim());
    const tests = Array.from((cells[5] ?? "").matchAll(/`([^`]+)`/g), ([, file = ""]) => file);
    return { number: Number(cells[1]), tests, status: cells[6] ?? "" };
  });
const held = promises.filter(({ status }) => status === "held");

describe("docs/security.md", () => {
  it("has a row for each of the promises 1 to 45, with a status of the three", () => {
    expect(promises.map(({ number }) => number)).toEqual(
      Array.from({ length: 45 }, (_, i) => i + 1),
    );
    expect(promises.filter(({ status }) => !/^(held|later|partly: .+)$/.test(status))).toEqual([]);
  });

  it.each(promises.flatMap(({ tests }) => tests))("names %s, which is there", (file) => {
    expect(existsSync(join(root, file))).toBe(true);
  });

  it.each(held.map((promise) => [promise.number, promise] as const))(
    "names for the held promise %i only tests that name it",
    (number, { tests }) => {
      const silent = tests.filter((file) => !namesInvariant(file, number));
      expect(tests.length).toBeGreaterThan(0);
      expect(silent).toEqual([]);
    },
  );
});

function namesInvariant(file: string, number: number): boolean {
  const source = readFileSync(join(root, file), "utf8");
  const numbers = Array.from(source.matchAll(/\(invariants? ([\d, and]+)/g), ([, list = ""]) =>
    (list.match(/\d+/g) ?? []).map(Number),
  );
  return numbers.flat().includes(number);
}
