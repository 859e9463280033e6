// Runs the rows of a group as tests: each is compared to the letter, and has a deadline, so that a hang fails by its name.

import { execa } from "execa";
import {
  afterAll,
  beforeAll,
  describe,
  expect,
  it,
  onTestFinished,
  type TestContext,
} from "vitest";
import { skip } from "../support/skip.ts";
import type { Fault, FaultGroup } from "./fault.ts";
import { Scene } from "./scene.ts";

const deadlineMs = 15_000;

/** How to come by what rows have in common, and how to leave it. */
export interface WorldMaker<World> {
  readonly open: () => Promise<World>;
  readonly close: (world: World) => Promise<void>;
}

/** Makes a test of every row. */
export function runFaults<World>(
  groups: readonly FaultGroup<World>[],
  { open, close }: WorldMaker<World>,
): void {
  const opened: { world?: World } = {};
  beforeAll(async () => {
    opened.world = await open();
  });
  afterAll(async () => {
    if (opened.world !== undefined) {
      await close(opened.world);
    }
  });

  describe.each(groups)("$title", ({ faults }) => {
    for (const fault of faults) {
      it(fault.condition, { timeout: fault.deadlineMs ?? deadlineMs }, async (context) => {
        await requireProgram(fault.needs, context);
        await play(fault, opened.world as World);
      });
    }
  });
}

/** For rows that bring all that they need. */
export const noWorld: WorldMaker<void> = {
  open: () => Promise.resolve(),
  close: () => Promise.resolve(),
};

async function play<World>(fault: Fault<World>, world: World): Promise<void> {
  const scene = await Scene.open();
  onTestFinished(() => scene.close());
  await fault.arrange?.(scene, world);
  const { meanwhile } = fault;
  const act = meanwhile === undefined ? undefined : () => meanwhile(scene, world);
  const { command, stdout = [], stderr, exit } = fault;
  expect(await scene.run(command, act)).toEqual({
    stdout: stdout.join("\n"),
    stderr: stderr.join("\n"),
    exit,
  });
}

/** Fails loudly where `CI=true`; elsewhere the row is skipped with its reason. */
async function requireProgram(
  program: Fault<unknown>["needs"],
  context: TestContext,
): Promise<void> {
  const isThere =
    program === undefined ||
    (program === "root"
      ? process.getuid?.() === 0
      : (await execa(program, ["--version"], { reject: false })).exitCode === 0);
  if (isThere) {
    return;
  }
  skip(
    context,
    program === "root" ? "only root may mount a small disk" : `${program} is not installed`,
  );
}
