// What would come of a request, in words, a fact a line. Every line is safe to print.

import type { RequestPreview } from "@jitdb/shared/api/previews";
import { formatDuration } from "@jitdb/shared/duration";
import { clean, line, relative, roughly } from "../text.ts";

/** Names in a line; the others are counted. */
const shownNames = 8;

export function describePreview(preview: RequestPreview, now: number): string[] {
  const { privileges, leavesTraces, startsAt, statements, problem } = preview;
  const duration = formatDuration(preview.durationSeconds * 1000);
  return [
    line`${preview.database} (${preview.profile}) for ${duration}`,
    fact("rule", clean(preview.policy)),
    ...(privileges === "" ? [] : [fact("may", clean(privileges))]),
    ...(leavesTraces.length === 0
      ? []
      : [fact("traces", line`it can leave some; a grant ${leavesTraces.join(", and ")}`)]),
    ...(startsAt === null ? [] : [fact("begins", line`${relative(startsAt, now)} (${startsAt})`)]),
    ...describeApproval(preview, now),
    ...(preview.waiting === null
      ? []
      : [fact("waiting", line`the same was asked already: ${preview.waiting}`)]),
    ...(problem === null
      ? [
          fact("runs", "in the database, when it begins:"),
          ...statements.map((each) => line`    ${each};`),
        ]
      : [fact("runs", line`cannot be said: ${problem}`)]),
  ];
}

function describeApproval(preview: RequestPreview, now: number): string[] {
  const { stages, enough, vouching, review, lapsesAt } = preview;
  if (stages.length === 0) {
    return [
      fact("approval", "none: it would be granted at once"),
      ...(review === null
        ? []
        : [
            fact(
              "review",
              line`${review.groups.join(" or ")} has to look at it within ${formatDuration(review.withinSeconds * 1000)}`,
            ),
          ]),
    ];
  }
  return [
    ...stages.flatMap((stage, index) => describeStage(stage, index)),
    ...(enough ? [] : [fact("but", "different people have to approve, and they are too few")]),
    ...(vouching ? [fact("because", "nobody has confirmed this device yet")] : []),
    fact("usually", describeWait(preview.usualWait)),
    ...(lapsesAt === null ? [] : [fact("lapses", line`${relative(lapsesAt, now)}, undecided`)]),
  ];
}

function describeStage(stage: RequestPreview["stages"][number], index: number): string[] {
  const { groups, needed, approvers, approverCount } = stage;
  const name = stage.name === null ? "" : ` (${stage.name})`;
  const shown = approvers.slice(0, shownNames);
  const more = approverCount - shown.length;
  const names = `${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  return [
    fact(index === 0 ? "approval" : "then", line`${needed} of ${groups.join(" or ")}${name}`),
    fact("by", approverCount === 0 ? "nobody could at the moment" : clean(names)),
  ];
}

function describeWait(wait: RequestPreview["usualWait"]): string {
  if (wait === null) {
    return "not known: too few were decided so far";
  }
  const { medianSeconds, decided, lapsed } = wait;
  const others = lapsed === 0 ? "" : `; ${lapsed} more lapsed`;
  return `decided within ${roughly(medianSeconds * 1000)}, the median of ${decided}${others}`;
}

function fact(name: string, text: string): string {
  return `  ${name.padEnd(8)}  ${text}`;
}
