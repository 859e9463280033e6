// One thing that is measured on every path, round by round.

import type { Path } from "../paths/path.ts";
import type { Site } from "../site.ts";

export interface Scale {
  /** Rounds of each measure; in each, every path has its turn. */
  readonly rounds: number;
  /** Seconds of each turn of pgbench. */
  readonly seconds: number;
  /** Rows of about a hundred bytes in the table that COPY moves. */
  readonly rows: number;
  /** How many streams are idle while memory is read; rising. */
  readonly idleStreams: readonly number[];
}

export interface Turn {
  readonly site: Site;
  readonly path: Path;
  readonly scale: Scale;
}

export interface Result {
  /** More is better, where `isLess` does not say otherwise. */
  readonly value: number;
  /** What the value was got from: transactions, or gigabytes; processor time is counted by it. */
  readonly units?: number;
  readonly extras?: Readonly<Record<string, number>>;
}

export interface Measure {
  readonly name: string;
  readonly unit: string;
  /** What processor time is counted by. */
  readonly per?: "transaction" | "GB";
  readonly isLess?: true;
  /** The paths that it is about; absent: all but jitdb without records. */
  readonly on?: readonly Path["name"][];
  /** Paths that can't do it. */
  readonly without?: readonly Path["name"][];
  run(turn: Turn): Promise<Result>;
}
