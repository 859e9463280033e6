// Groups come to be by being named: there is no list of them, and a slip makes one that nothing is allowed to.

import type { Policy, PolicyApproval } from "../../config/config.ts";
import { administrators } from "../../identity/caller.ts";
import { stagesOfRule } from "../requests/stages.ts";

/** Those that policies let ask, approve or review, and the administrators. */
export function namedGroups(policies: readonly Policy[]): ReadonlySet<string> {
  return new Set([
    administrators,
    ...policies.flatMap(({ who, approval, extend, breakGlass }) => [
      ...who.groups,
      ...approversOf(approval),
      ...(extend === undefined ? [] : approversOf(extend.approval)),
      ...(breakGlass?.reviewGroups ?? []),
    ]),
  ]);
}

/** Whether a group is one of these, or of those that a condition asks for. */
export function isNamed(policies: readonly Policy[], group: string): boolean {
  return namedGroups(policies).has(group) || policies.some(({ when }) => when?.includes(group));
}

function approversOf(approval: PolicyApproval): string[] {
  return stagesOfRule(approval).flatMap(({ groups }) => groups);
}
