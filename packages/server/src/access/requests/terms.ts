// What a policy says of a request beyond its stages. The policy of today has the word; where there is none of that name any
// more, the one under which the request was made.

import type { Policy } from "../../config/config.ts";
import type { RequestRow } from "./row.ts";

export type Terms = Pick<Policy, "name" | "drainMs" | "perDay" | "stepUpMs" | "breakGlass">;

/** The column of `requests` that holds them. */
export function termsColumn(policy: Terms): Pick<RequestRow, "terms"> {
  const { name, drainMs, perDay, stepUpMs, breakGlass } = policy;
  return { terms: JSON.stringify({ name, drainMs, perDay, stepUpMs, breakGlass }) };
}

/**
 * SECURITY: with the policy alone, taking it out of the configuration would let a login of last month approve what it had
 * wanted a fresh one for.
 * @returns undefined for a request that is older than this column, and whose policy is gone
 */
export function termsOf(
  policies: readonly Policy[],
  request: Pick<RequestRow, "policy" | "terms">,
): Terms | undefined {
  const today = policies.find(({ name }) => name === request.policy);
  return today ?? (request.terms === null ? undefined : (JSON.parse(request.terms) as Terms));
}
