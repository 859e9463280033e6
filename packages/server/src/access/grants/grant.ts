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
  readonly id: string;
  readonly state: GrantState;
  readonly end: GrantEnd | null;
  readonly end_reason: string | null;
  readonly ends_at: number;
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

/** How a grant ended, in words for whoever wanted to use it. */
export function endedError({ id, end, end_reason, ends_at }: GrantLife): JitdbError {
  if (end === "revoked") {
    const why = end_reason === null || end_reason === "" ? "." : `: ${end_reason}`;
    return new JitdbError("grant.revoked", `The grant ${id} was revoked${why}`);
  }
  const endedAt = new Date(ends_at).toISOString();
  return new JitdbError("grant.expired", `The grant ${id} ended at ${endedAt}.`);
}
