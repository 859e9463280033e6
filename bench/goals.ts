// What the tunnel has to reach: as ratios to another path in the same run, or as what was measured itself.

export interface Goal {
  readonly measure: string;
  /** The path that jitdb is held against; absent: none, and the goal is in the measure's unit. */
  readonly against?: "direct" | "ssh" | "unrecorded";
  readonly floor: number;
  readonly stretch?: number;
  /** `most`: the ratio may not be over the goal; absent: not below it. */
  readonly isMost?: true;
}

export const goals: readonly Goal[] = [
  { measure: "pgbench simple c1", against: "ssh", floor: 1, stretch: 1.1 },
  { measure: "pgbench simple c16", against: "ssh", floor: 1, stretch: 1.2 },
  { measure: "audit: pgbench simple c1", against: "unrecorded", floor: 0.85, stretch: 0.9 },
  { measure: "audit: pgbench simple c16", against: "unrecorded", floor: 0.85, stretch: 0.9 },
  { measure: "copy out", against: "ssh", floor: 1, stretch: 1.35 },
  { measure: "copy in", against: "ssh", floor: 1, stretch: 1.1 },
  { measure: "connects", against: "ssh", floor: 0.9, stretch: 1.1 },
  { measure: "neighbour of a bulk stream", against: "ssh", floor: 1, stretch: 1.5 },
  { measure: "memory: gateway, 1,000 idle streams", floor: 10, isMost: true },
  { measure: "memory: gateway, 5,000 idle streams", floor: 10, isMost: true },
  { measure: "memory: gateway above one stream", floor: 64, isMost: true },
  { measure: "memory: agent, 100 idle streams", floor: 10, isMost: true },
  { measure: "memory: agent", floor: 90, isMost: true },
  {
    measure: "50 ms: connect and first query",
    against: "direct",
    floor: 0.28,
    stretch: 0.16,
    isMost: true,
  },
  { measure: "50 ms: copy out", against: "direct", floor: 1, stretch: 1.5 },
  { measure: "50 ms: copy out", against: "ssh", floor: 1, stretch: 1.5 },
];

export type Verdict = "stretch" | "floor" | "missed";

/** @param value the ratio, or what was measured */
export function judge(goal: Goal, value: number): Verdict {
  const reaches = (limit: number) => (goal.isMost === true ? value <= limit : value >= limit);
  if (goal.stretch !== undefined && reaches(goal.stretch)) {
    return "stretch";
  }
  return reaches(goal.floor) ? "floor" : "missed";
}
