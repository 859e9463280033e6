// What a row of the fault table says. The tests run the rows, docs/errors.md prints them.

import type { Scene } from "./scene.ts";

/** Something that goes wrong, and exactly what a person sees of it. */
export interface Fault<World> extends ShownFault {
  /** Brings the condition about before the command runs. */
  readonly arrange?: (scene: Scene, world: World) => Promise<void> | void;
  /** Brings it about while the command runs. */
  readonly meanwhile?: (scene: Scene, world: World) => Promise<void> | void;
  /** A program that the row needs and that not every machine has. */
  readonly needs?: "curl" | "psql" | "root";
  /** Default: 15 s. A command that takes longer hangs. */
  readonly deadlineMs?: number;
}

/** The part of a row that is read by people. `<names>` in it stand for values that differ from run to run. */
export interface ShownFault {
  /** What is wrong; no other row says the same. */
  readonly condition: string;
  /** As typed into a shell. */
  readonly command: string;
  /** Lines on stdout; default: none. */
  readonly stdout?: readonly string[];
  /** Lines on stderr. */
  readonly stderr: readonly string[];
  /** Exit code of the command. */
  readonly exit: number;
  /** What to do, where the output's hint is not all there is to say. */
  readonly advice?: string;
}

/** Rows of one subject. `World` is what they find there: something that is made once for all of them. */
export interface FaultGroup<World = void> extends ShownGroup {
  readonly faults: readonly Fault<World>[];
}

export interface ShownGroup {
  readonly title: string;
  readonly faults: readonly ShownFault[];
}
