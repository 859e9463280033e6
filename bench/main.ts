// `npm run bench`: jitdb beside a direct connection, `ssh -L` and PgBouncer in one interleaved run. See docs/performance.md.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { execa } from "execa";
import { createLongPath, nearAddress } from "./far/namespaces.ts";
import { heedSignals, Interrupted, unlessInterrupted } from "./interruption.ts";
import { auditMeasures } from "./measures/audit.ts";
import { connectMeasure } from "./measures/connects.ts";
import { copyMeasures } from "./measures/copy.ts";
import { firstQueryMeasure } from "./measures/far.ts";
import type { Measure, Scale } from "./measures/measure.ts";
import { neighbourMeasures } from "./measures/neighbours.ts";
import { pgbenchMeasures } from "./measures/pgbench.ts";
import { measureMemory, memoryNames } from "./memory/memory.ts";
import { type MicroResult, measureIdle, measureMicros, toMicroTable } from "./micro/micro.ts";
import { missingLine } from "./paths/tools.ts";
import { createPlace } from "./place.ts";
import { describeRun, publish } from "./publish.ts";
import { type MeasureRounds, reached, toGoalTable, toTable } from "./report.ts";
import { runMeasure, warmUp } from "./run.ts";

const scales: Readonly<Record<"full" | "quick", Scale>> = {
  full: { rounds: 5, seconds: 5, rows: 2_000_000, idleStreams: [1, 1000, 5000] },
  quick: { rounds: 3, seconds: 1, rows: 500_000, idleStreams: [1, 1000] },
};

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    /** Parts of the hot path alone, and memory of idle streams. */
    micro: { type: "boolean", default: false },
    /** With it: results of an earlier run (`--json`) to compare with. */
    against: { type: "string" },
    /** Part of a measure's name. */
    only: { type: "string", default: "" },
    /** Shows this run on docs/performance.md. */
    publish: { type: "boolean", default: false },
    /** Where the results are kept. */
    json: { type: "string" },
    /** Set by the bench itself: what stands in front of the commands of far clients. */
    far: { type: "string" },
  },
});
const scale = scales[options.quick ? "quick" : "full"];
/** Has to end within five minutes. */
const isShort = options.quick && options.only === "";
const say = (text: string) => process.stdout.write(`${text}\n`);

const nearMeasures = [
  ...pgbenchMeasures.filter(({ name }) => !(isShort && name.includes("prepared"))),
  ...auditMeasures,
  ...copyMeasures,
  connectMeasure,
  ...neighbourMeasures,
];
const farMeasures = [firstQueryMeasure, ...copyMeasures.filter(({ name }) => name === "copy out")];

try {
  await bench();
} catch (error) {
  if (!(error instanceof Interrupted)) {
    throw error;
  }
  process.stderr.write(`${error.message} What was started is stopped.\n`);
  process.exit(error.exitCode);
}

async function bench(): Promise<void> {
  if (options.micro) {
    await benchParts();
    return;
  }
  heedSignals();
  if (options.far === undefined) {
    await benchAll();
  } else {
    process.stdout.write(`${JSON.stringify(await benchFarEnd(options.far.split(" ")))}\n`);
  }
}

async function benchAll(): Promise<void> {
  const measures: MeasureRounds[] = [];
  const near = chosen(nearMeasures, "");
  if (near.length > 0) {
    const hasUnrecorded = near.some(({ on }) => on?.includes("unrecorded"));
    const place = await createPlace({ scale, host: "127.0.0.1", hasUnrecorded, say });
    try {
      await unlessInterrupted(warmUp(place.site, place.paths, scale));
      for (const measure of near) {
        const rounds = await unlessInterrupted(runMeasure(measure, place.site, place.paths, scale));
        say(toTable(rounds));
        measures.push(rounds);
      }
    } finally {
      await place.close();
    }
  }
  if (isShort) {
    say(
      "Without prepared statements, and without memory, which has to rest for minutes. Each by itself:",
    );
    say("npm run bench -- --quick --only prepared; npm run bench -- --quick --only memory\n");
  } else if (memoryNames(scale.idleStreams).some((name) => name.includes(options.only))) {
    for (const rounds of await measureMemory(scale.idleStreams)) {
      say(toTable(rounds));
      measures.push(rounds);
    }
  }
  if (chosen(farMeasures, "50 ms: ").length > 0) {
    for (const rounds of await benchFar()) {
      say(toTable(rounds));
      measures.push(rounds);
    }
  }
  say(toGoalTable(measures));
  if (options.json !== undefined) {
    const text = JSON.stringify({ scale, measures, goals: reached(measures) }, null, 2);
    await writeFile(options.json, `${text}\n`);
  }
  if (options.publish) {
    const { rounds, seconds, rows } = scale;
    const said = `${rounds} rounds, pgbench ${seconds} s each, COPY of ${rows.toLocaleString("en")} rows`;
    await publish(join(import.meta.dirname, "..", "docs"), describeRun(said, measures));
  }
}

async function benchParts(): Promise<void> {
  const earlier: { parts?: MicroResult[] } =
    options.against === undefined ? {} : JSON.parse(await readFile(options.against, "utf8"));
  const parts = measureMicros(options.only);
  say(toMicroTable(parts, earlier.parts));
  const idle = measureIdle([1, 1000, 5000]);
  for (const { streams, bytesPerStream } of idle) {
    say(`${streams} idle: ${bytesPerStream} bytes a stream, both ends of the tunnel together`);
  }
  if (options.json !== undefined) {
    await writeFile(options.json, `${JSON.stringify({ parts, idle }, null, 2)}\n`);
  }
}

/** Runs the bench once more, inside a namespace of its own. */
async function benchFar(): Promise<MeasureRounds[]> {
  const missing = missingLine(["gcc", "ip"]);
  if (missing !== undefined || process.getuid?.() !== 0) {
    say(`Without the path of 50 ms: ${missing ?? "network namespaces need root"}`);
    return [];
  }
  const folder = await mkdtemp(join(tmpdir(), "jitdb-path-"));
  const path = await createLongPath(folder);
  try {
    const own = [process.execPath, import.meta.filename, "--far", path.far.join(" ")];
    const more = [...(options.quick ? ["--quick"] : []), "--only", options.only];
    const [program = "", ...args] = [...path.near, ...own, ...more];
    const run = execa(program, args, { stderr: "inherit", forceKillAfterDelay: false });
    try {
      const { stdout } = await unlessInterrupted(run);
      return JSON.parse(stdout.split("\n").at(-1) ?? "[]");
    } finally {
      // It stops what it has started, and the namespaces have to be there for that.
      run.kill("SIGTERM");
      await run.catch(() => undefined);
    }
  } finally {
    await path.close();
    await rm(folder, { recursive: true });
  }
}

async function benchFarEnd(far: readonly string[]): Promise<MeasureRounds[]> {
  const place = await createPlace({
    ...{ scale, host: nearAddress, far },
    say: (text) => process.stderr.write(`${text}\n`),
  });
  try {
    await unlessInterrupted(warmUp(place.site, place.paths, scale));
    const measures: MeasureRounds[] = [];
    for (const measure of chosen(farMeasures, "50 ms: ")) {
      const rounds = await unlessInterrupted(runMeasure(measure, place.site, place.paths, scale));
      measures.push({ ...rounds, measure: `50 ms: ${measure.name}` });
    }
    return measures;
  } finally {
    await place.close();
  }
}

function chosen(measures: readonly Measure[], prefix: string): Measure[] {
  return measures.filter(({ name }) => `${prefix}${name}`.includes(options.only));
}
