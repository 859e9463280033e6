// Policies as they are written and as the rest of the server sees them, and what is wrong with one by itself.

import { formatDuration } from "@jitdb/shared/duration";
import { compileCondition, factNames } from "../access/policies/condition.ts";
import type { Policy, PolicyApproval, PolicyDailyLimit } from "./config.ts";
import type { ConfigDocument, Path } from "./document.ts";
import type { ApprovalInput, PolicyInput } from "./schema.ts";

/** What the schema can't say: its condition and its default duration. */
export function checkPolicy(
  document: ConfigDocument,
  path: Path,
  input: PolicyInput | undefined,
): void {
  checkCondition(document, [...path, "when"], input?.when);
  checkDefault(document, [...path, "defaultDuration"], input);
}

/** A policy as the server sees it. */
export function toPolicy(input: PolicyInput): Policy {
  return {
    name: input.name,
    who: input.who,
    databases: input.databases,
    ...(input.labels && { labels: input.labels }),
    profiles: input.profiles,
    maxDurationMs: input.maxDuration,
    ...(input.defaultDuration !== undefined && { defaultDurationMs: input.defaultDuration }),
    approval: toApproval(input.approval),
    requestLifetimeMs: input.requestLifetime,
    reasonRequired: input.reasonRequired || (input.reason?.required ?? false),
    ...(input.reason?.pattern !== undefined && { reasonPattern: input.reason.pattern }),
    ...(input.when !== undefined && { when: input.when }),
    ...(input.hours && { hours: input.hours }),
    drainMs: input.end?.drain ?? 0,
    ...(input.extend && {
      extend: {
        times: input.extend.times,
        byMs: input.extend.by,
        approval: toApproval(input.extend.approval),
      },
    }),
    ...(input.perDay && { perDay: toDailyLimit(input.perDay) }),
    ...(input.stepUp !== undefined && { stepUpMs: input.stepUp }),
    ...(input.breakGlass && {
      breakGlass: {
        reviewGroups: input.breakGlass.review.groups,
        withinMs: input.breakGlass.review.within,
      },
    }),
  };
}

function toApproval(input: ApprovalInput): PolicyApproval {
  if (input === "automatic") {
    return { kind: "automatic" };
  }
  if (!("stages" in input)) {
    return { kind: "approvals", ...input };
  }
  const stages = input.stages.map(({ name, ...stage }) => ({ ...stage, ...(name && { name }) }));
  return { kind: "stages", stages };
}

function toDailyLimit({ grants, time }: NonNullable<PolicyInput["perDay"]>): PolicyDailyLimit {
  return { ...(grants && { grants }), ...(time && { timeMs: time }) };
}

function checkCondition(document: ConfigDocument, path: Path, text: string | undefined): void {
  const compiled = text === undefined ? undefined : compileCondition(text);
  if (compiled?.ok === false) {
    document.errorInside(path, compiled.offset, `${compiled.problem}.`, `It may use ${factNames}.`);
  }
}

function checkDefault(document: ConfigDocument, path: Path, input: PolicyInput | undefined): void {
  const { maxDuration = 0, defaultDuration = 0 } = input ?? {};
  if (defaultDuration > maxDuration) {
    document.error(path, "is longer than maxDuration.", `At most ${formatDuration(maxDuration)}.`);
  }
}
