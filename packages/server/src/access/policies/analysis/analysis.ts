// Everything that the policies of a file have to say against themselves, in the order of the file.

import type { Config } from "../../../config/config.ts";
import { policyTarget } from "../../requests/ask.ts";
import { underminedPolicies } from "./alone.ts";
import { deadPolicies, unreachedPolicies } from "./dead.ts";
import type { Finding } from "./finding.ts";
import { type Member, shortages } from "./shortages.ts";

/** @param members everybody with an account; absent where nobody could be asked */
export function analyse(
  { policies, databases }: Pick<Config, "policies" | "databases">,
  members?: readonly Member[],
): Finding[] {
  const targets = [...databases.values()].map(policyTarget);
  const found = [
    ...deadPolicies(policies, targets),
    ...unreachedPolicies(policies, targets),
    ...underminedPolicies(policies, [...databases.values()]),
    ...(members === undefined ? [] : shortages(policies, members)),
  ];
  const place = ({ policy }: Finding) => policies.findIndex(({ name }) => name === policy);
  return found.toSorted((one, other) => place(one) - place(other));
}
