import { describe, expect, test } from "vitest";
import type { RequestState } from "../../store/tables.ts";
import { nextRequestState, type RequestInput, requestTable } from "./request.ts";

const inputs = ["approve", "grant", "deny", "withdraw", "lapse"] as const;
const states = Object.keys(requestTable) as RequestState[];

/** Every cell that there is; all others refuse. */
const cells: Partial<Record<`${RequestState} ${RequestInput}`, RequestState>> = {
  "pending approve": "pending",
  "pending grant": "approved",
  "pending deny": "denied",
  "pending withdraw": "withdrawn",
  "pending lapse": "lapsed",
};

describe.each(states)("a request that is %s", (state) => {
  test.each(inputs)("goes where the table says, or refuses: %s", (input) => {
    const request = { id: "req_1", state };
    const next = cells[`${state} ${input}`];
    if (next !== undefined) {
      expect(nextRequestState(request, input)).toBe(next);
      return;
    }
    const error =
      state === "lapsed"
        ? { code: "request.lapsed", message: "The request req_1 has lapsed." }
        : { code: "request.decided", message: `The request req_1 was already ${state}.` };
    expect(() => nextRequestState(request, input)).toThrow(expect.objectContaining(error));
  });
});
