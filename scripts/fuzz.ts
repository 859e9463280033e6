// `npm run fuzz`: the long run over all targets, or one. Prints executions, their rate, and what was found; the exit code
// says whether anything was.

import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { recordCorpus } from "../test/fuzz/capture.ts";
import { parseInput } from "../test/fuzz/input.ts";
import { describeFinding, failureOf, fuzz } from "../test/fuzz/run.ts";
import type { Target } from "../test/fuzz/target.ts";
import { longTargets } from "../test/fuzz/targets.ts";

const { values } = parseArgs({
  options: {
    /** One target; all of them where absent. */
    target: { type: "string" },
    /** Of the whole run. */
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now()) },
    /** One case of the seed, as a finding names it. */
    case: { type: "string" },
    /** A file of steps, as findings print them. */
    input: { type: "string" },
    /** Records the corpus anew instead. */
    record: { type: "boolean", default: false },
  },
});

if (values.record) {
  await recordCorpus();
} else {
  process.exitCode = await run();
}

async function run(): Promise<number> {
  const chosen = longTargets.filter(({ name }) => [undefined, name].includes(values.target));
  if (chosen.length === 0) {
    const names = longTargets.map(({ name }) => name).join(", ");
    process.stderr.write(`error: there is no target "${values.target}".\nhint: one of ${names}.\n`);
    return 2;
  }
  let found = 0;
  for (const target of chosen) {
    found += await runTarget(target, chosen.length);
    await target.close?.();
  }
  return found === 0 ? 0 : 1;
}

/** The number of findings. */
async function runTarget(target: Target, share: number): Promise<number> {
  if (values.input !== undefined) {
    const input = parseInput(await readFile(values.input, "utf8"));
    const error = await failureOf(target, input);
    const { name } = target;
    print(
      error === undefined
        ? `${name}: holds`
        : describeFinding({ target: name, seed: "", error, input }),
    );
    return error === undefined ? 0 : 1;
  }
  const startedAt = performance.now();
  const budgetMs = (Number(values.minutes) * 60_000) / share;
  const isOne = values.case !== undefined;
  const { executions, findings } = await fuzz(target, {
    seed: values.seed,
    from: Number(values.case ?? 0),
    goesOn: (count) => (isOne ? count < 1 : performance.now() - startedAt < budgetMs),
    onFinding: (finding) => print(describeFinding(finding)),
  });
  const seconds = (performance.now() - startedAt) / 1000;
  const rate = (executions / seconds).toFixed(0);
  print(
    `${target.name}: ${executions} executions in ${seconds.toFixed(0)} s (${rate}/s), seed ${values.seed}, findings: ${findings.length}`,
  );
  return findings.length;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
