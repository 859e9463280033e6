// The test cases of a configuration, tried on its own policies and databases.

import type { Config } from "../../config/config.ts";
import { Policies } from "../policy.ts";
import { policyTarget } from "../requests/ask.ts";
import { type CaseFailure, failedCases, type PolicyCase } from "./cases.ts";

export function runCases(
  { databases, policies }: Pick<Config, "databases" | "policies">,
  cases: readonly PolicyCase[],
): CaseFailure[] {
  const targets = [...databases].map(([name, database]) => [name, policyTarget(database)] as const);
  return failedCases(cases, new Policies(policies), new Map(targets));
}
