// The life of a request: pending, then exactly one of approved, denied, withdrawn, lapsed.

import { JitdbError } from "@jitdb/shared/errors";
import type { RequestState } from "../../store/tables.ts";

/** `approve` is an approval that more have to follow; `grant` is the last one that was needed. */
export type RequestInput = "approve" | "grant" | "deny" | "withdraw" | "lapse";

/** A missing cell: the request was decided before. */
export const requestTable = {
  pending: {
    approve: "pending",
    grant: "approved",
    deny: "denied",
    withdraw: "withdrawn",
    lapse: "lapsed",
  },
  approved: {},
  denied: {},
  withdrawn: {},
  lapsed: {},
} as const satisfies Record<RequestState, Partial<Record<RequestInput, RequestState>>>;

/**
 * Where an input leads.
 * @throws JitdbError `request.lapsed` for a lapsed request, `request.decided` for one that was decided otherwise
 */
export function nextRequestState(
  request: { readonly id: string; readonly state: RequestState },
  input: RequestInput,
): RequestState {
  const cells: Partial<Record<RequestInput, RequestState>> = requestTable[request.state];
  const next = cells[input];
  if (next !== undefined) {
    return next;
  }
  if (request.state === "lapsed") {
    throw new JitdbError("request.lapsed", `The request ${request.id} has lapsed.`);
  }
  throw new JitdbError(
    "request.decided",
    `The request ${request.id} was already ${request.state}.`,
  );
}
