// What became of a request, in words, for somebody who was about to decide on it.

import type { RequestView } from "@jitdb/shared/api/access";
import { JitdbError } from "@jitdb/shared/errors";
import { describeApproved } from "../approved.ts";
import { line } from "../text.ts";

/** `carol approved it for 15m.` */
export function describeSettled(request: RequestView): string {
  const { state, person, decidedBy, decisionReason } = request;
  const who = decidedBy ?? "The server";
  const why = decisionReason === null || decisionReason === "" ? "" : `: ${decisionReason}`;
  switch (state) {
    case "approved":
      return line`${who} approved it for ${describeApproved(request)}.`;
    case "denied":
      return line`${who} denied it${why}${why === "" ? "." : ""}`;
    case "withdrawn":
      return line`${person} withdrew it.`;
    case "lapsed":
      return line`It lapsed. ${decisionReason ?? ""}`.trimEnd();
    case "pending":
      return line`It waits for others now: ${request.approvals.groups.join(" or ")}.`;
  }
}

/** For a command that was there for this one request. */
export function settledError(request: RequestView): JitdbError {
  const code = request.state === "lapsed" ? "request.lapsed" : "request.decided";
  return new JitdbError(code, line`You did not decide ${request.id}. ${describeSettled(request)}`);
}
