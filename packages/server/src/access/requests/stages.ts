// The stages of a request's approval: who decides now, and what is still missing. Pure.

import type { PolicyApproval, PolicyStage } from "../../config/config.ts";
import { administrators } from "../../identity/caller.ts";
import type { RequestRow } from "./row.ts";

/** The stages of a rule, in order; none: nobody has to approve. */
export function stagesOfRule(approval: PolicyApproval): readonly PolicyStage[] {
  switch (approval.kind) {
    case "automatic":
      return [];
    case "approvals":
      return [{ count: approval.count, groups: approval.groups }];
    case "stages":
      return approval.stages;
  }
}

/**
 * The stages that a request has to go through.
 * SECURITY: a phished login is an unconfirmed device: no policy answers it by itself.
 */
export function stagesOfRequest(
  approval: PolicyApproval,
  deviceConfirmed: boolean,
): readonly PolicyStage[] {
  const wanted = stagesOfRule(approval);
  return wanted.length > 0 || deviceConfirmed ? wanted : [{ count: 1, groups: [administrators] }];
}

/** The columns of `requests` that hold stages. */
export function stageColumns(
  stages: readonly PolicyStage[],
): Pick<RequestRow, "approvals_needed" | "approver_groups" | "stages"> {
  return {
    approvals_needed: stages.reduce((sum, { count }) => sum + count, 0),
    // Every group of every stage: who may see the request.
    approver_groups: JSON.stringify([...new Set(stages.flatMap(({ groups }) => groups))]),
    stages: stages.length > 1 ? JSON.stringify(stages) : null,
  };
}

export function stagesOf(
  request: Pick<RequestRow, "approvals_needed" | "approver_groups" | "stages">,
): readonly PolicyStage[] {
  if (request.stages !== null) {
    return JSON.parse(request.stages) as PolicyStage[];
  }
  const groups = JSON.parse(request.approver_groups) as string[];
  return request.approvals_needed === 0 ? [] : [{ count: request.approvals_needed, groups }];
}

/** A stage by its place, and how many approvals it still wants. */
export interface OpenStage extends PolicyStage {
  readonly index: number;
  readonly missing: number;
}

/** The first stage that is not complete; undefined: all are. `given` are the stages of the approvals that count. */
export function openStage(
  stages: readonly PolicyStage[],
  given: readonly number[],
): OpenStage | undefined {
  const missing = stages.map(
    ({ count }, index) => count - given.filter((stage) => stage === index).length,
  );
  const index = missing.findIndex((count) => count > 0);
  const stage = stages[index];
  return stage && { ...stage, index, missing: missing[index] ?? 0 };
}

/**
 * The stages of the approvals that count.
 * SECURITY: who was disabled has no say any more; what they shortened or narrowed stays so.
 */
export function countedStages(
  approvals: readonly { readonly stage: number; readonly disabled_at: number | null }[],
): number[] {
  return approvals.filter(({ disabled_at }) => disabled_at === null).map(({ stage }) => stage);
}
