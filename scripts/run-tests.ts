// Runs Vitest and closes with a line that counts what passed, failed and was skipped, and why.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { root } from "./root.ts";
import { runTool } from "./run-tool.ts";

/** Runs the named Vitest projects. The answer is the exit code: 0 only if tests ran and none failed. */
export async function runTests(projects: string[], args: readonly string[]): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "jitdb-test-"));
  try {
    const resultFile = join(folder, "result.json");
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${resultFile}`];
    const exitCode = await runTool("vitest", [
      "run",
      ...projects.flatMap((project) => ["--project", project]),
      ...reporters,
      ...args,
    ]);
    const count = countTests(JSON.parse(await readFile(resultFile, "utf8")) as VitestResult);
    // Last, and a line each: whoever reads only the end of a log sees them.
    for (const failure of count.failures) {
      process.stdout.write(`failed: ${failure}\n`);
    }
    process.stdout.write(`${closingLine(count)}\n`);
    // A file that fails to load counts no failed test, hence Vitest's own word too.
    return exitCode !== 0 || count.failures.length > 0 || count.passed === 0 ? 1 : 0;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

interface VitestResult {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages?: readonly string[] | null;
      readonly meta: { readonly skipReason?: string };
    }[];
  }[];
}

interface TestCount {
  readonly passed: number;
  /** Files and names of tests with what was wrong, and files that did not load: a line each. */
  readonly failures: readonly string[];
  readonly skipped: number;
  readonly reasons: ReadonlyMap<string, number>;
}

function countTests(result: VitestResult): TestCount {
  const tests = result.testResults.flatMap((file) => file.assertionResults);
  const failures = result.testResults.flatMap(({ name, status, message, assertionResults }) => {
    const file = relative(root, name);
    const failed = assertionResults.filter((test) => test.status === "failed");
    return status === "failed" && failed.length === 0
      ? [`${file}: ${inOneLine(message)}`]
      : failed.map((test) => `${file}: ${test.fullName}: ${inOneLine(test.failureMessages?.[0])}`);
  });
  const skipped = tests.filter(({ status }) => status !== "passed" && status !== "failed");
  const reasons = new Map<string, number>();
  for (const { meta } of skipped) {
    const reason = meta.skipReason ?? "no reason given";
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  return {
    passed: tests.filter(({ status }) => status === "passed").length,
    failures,
    skipped: skipped.length,
    reasons,
  };
}

/** What was wrong, without the stack. */
function inOneLine(message = "no message"): string {
  const [text = ""] = message.split(/\n\s+at /);
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length > 400 ? `${line.slice(0, 400)}…` : line;
}

function closingLine({ passed, failures, skipped, reasons }: TestCount): string {
  const counted = `${passed} passed, ${failures.length} failed`;
  if (skipped === 0) {
    return counted;
  }
  const why = Array.from(reasons, ([reason, count]) => `${count}: ${reason}`).join("; ");
  return `${counted}, ${skipped} skipped (${why})`;
}
