// What the policies say to one question, as five answers: who, for how long, who must agree, at which hours, in an emergency.

import { formatDuration } from "@jitdb/shared/duration";
import type { Policy, PolicyApproval } from "../../config/config.ts";
import type { Policies, PolicyQuestion } from "../policy.ts";
import { describeHours } from "./hours.ts";
import { refusalError } from "./refusal.ts";

/** One line an answer. */
export function explain(policies: Policies, question: PolicyQuestion): string[] {
  const { person, profile, database } = question;
  const answer = policies.evaluate({ ...question, breakGlass: false });
  const emergency = `In an emergency: ${sayEmergency(policies, question)}`;
  if (answer.outcome !== "match") {
    const { message, hint } = refusalError(answer, question, "Ask an administrator.");
    return [`Refused: ${message} ${hint}`, emergency];
  }
  const { policy } = answer;
  return [
    `Who: ${person} may ask for ${profile} on ${database.name}, by the policy ${policy.name}.`,
    `How long: ${sayDurations(policy)}`,
    `Who must agree: ${sayApproval(policy.approval, question.deviceConfirmed)}`,
    `When: ${sayHours(policy)}`,
    emergency,
  ];
}

function sayDurations({ maxDurationMs, defaultDurationMs }: Policy): string {
  const most = `${formatDuration(maxDurationMs)} at the most`;
  return defaultDurationMs === undefined
    ? `${most}.`
    : `${most}, and ${formatDuration(defaultDurationMs)} without --for.`;
}

function sayApproval(approval: PolicyApproval, deviceConfirmed: boolean): string {
  if (approval.kind === "automatic") {
    return deviceConfirmed ? "nobody." : "1 of admins, because the device is not confirmed.";
  }
  const stages = approval.kind === "stages" ? approval.stages : [approval];
  const said = stages.map(({ count, groups }) => `${count} of ${groups.join(" or ")}`);
  return `${said.join(", then ")}.`;
}

function sayHours(policy: Policy): string {
  return policy.hours === undefined ? "day and night." : `only ${describeHours(policy.hours)}.`;
}

function sayEmergency(policies: Policies, question: PolicyQuestion): string {
  if (!question.deviceConfirmed) {
    return "nothing, because break-glass wants a confirmed device.";
  }
  const asked = { ...question, breakGlass: true };
  const answer = policies.evaluate(asked);
  if (answer.outcome !== "match") {
    return answer.outcome === "no_policy" || answer.outcome === "profile"
      ? "no policy lets them in by --break-glass."
      : refusalError(answer, asked, "Ask an administrator.").message;
  }
  const { name, maxDurationMs, breakGlass } = answer.policy;
  const groups = breakGlass?.reviewGroups.join(" or ");
  return `at once with --break-glass and a reason, ${formatDuration(maxDurationMs)} at the most, by the policy ${name}; ${groups} reviews it within ${formatDuration(breakGlass?.withinMs ?? 0)}.`;
}
