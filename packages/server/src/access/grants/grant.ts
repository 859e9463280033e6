// The life of a grant: active until its time is over or somebody revokes it. Nothing makes it active again.

import { JitdbError } from "@jitdb/shared/errors";
import type { GrantEnd, GrantState } from "../../store/tables.ts";

export type GrantInput = "expire" | "revoke";

/** A missing cell: the grant has ended before. */
export const grantTable = {
  active: { expire: "ended", revoke: "ended" },
  ended: {},
} as const satisfies Record<GrantState, Partial<Record<GrantInput, GrantState>>>;

/** What a grant that ended by this input says of its end. */
export const grantEnds = { expire: "expired", revoke: "revoked" } as const satisfies Record<
  GrantInput,
  GrantEnd
>;

/** The columns of `grants` that tell about its end. */
export interface GrantLife {
  readonly database_name: string;
  readonly state: GrantState;
  readonly end: GrantEnd | null;
  readonly end_reason: string | null;
}

/**
 * Where an input leads.
 * @throws JitdbError `grant.expired` or `grant.revoked` for a grant that has ended
 */
export function nextGrantState(grant: GrantLife, input: GrantInput): GrantState {
  const cells: Partial<Record<GrantInput, GrantState>> = grantTable[grant.state];
  const next = cells[input];
  if (next === undefined) {
    throw endedError(grant);
  }
  return next;
}

/** How a grant ended, in words for whoever used it or wanted to. `by` is the name of who revoked it, where it is known. */
export function endedError(
  { database_name: database, end, end_reason: reason }: Omit<GrantLife, "state">,
  by?: string | null,
): JitdbError {
  const again = `\`jitdb request ${database} --for 30m\``;
  if (end !== "revoked") {
    return new JitdbError("grant.expired", `The time for ${database} is over.`, {
      hint: `Ask again with ${again}.`,
    });
  }
  const who = by == null ? "" : ` by ${by}`;
  const why = reason === null || reason === "" ? "." : `: ${reason}`;
  return new JitdbError("grant.revoked", `The grant for ${database} was revoked${who}${why}`, {
    hint: `Talk to who revoked it, or ask again with ${again}.`,
  });
}
