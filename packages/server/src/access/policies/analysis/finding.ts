// What the analysis of policies finds, each with requests that show it.

import type { PolicyApproval } from "../../../config/config.ts";
import type { Policies, PolicyQuestion } from "../../policy.ts";
import { stagesOfRule } from "../../requests/stages.ts";

export interface Finding {
  readonly policy: string;
  /** A warning is proven. A hint is what was seen, or may be meant. */
  readonly severity: "warning" | "hint";
  /** Completes "the policy <name> …". */
  readonly message: string;
  readonly examples: readonly Example[];
}

/** A request, and the policy that decides it. */
export interface Example {
  readonly question: PolicyQuestion;
  readonly decidedBy: string;
}

/** The policy that decides, whether it says yes or its limits say no; undefined: none does. */
export function deciderOf(policies: Policies, question: PolicyQuestion): string | undefined {
  const answer = policies.evaluate(question);
  return "policy" in answer && answer.outcome !== "condition_failed"
    ? answer.policy.name
    : undefined;
}

/** How many people have to agree. */
export function approvalsOf(approval: PolicyApproval): number {
  return stagesOfRule(approval).reduce((sum, { count }) => sum + count, 0);
}
