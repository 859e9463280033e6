// A refusal by policy, in words: which rule it was, and what to do next.

import { formatDuration } from "@jitdb/shared/duration";
import { JitdbError } from "@jitdb/shared/errors";
import type { PolicyAnswer, PolicyQuestion } from "../policy.ts";
import { describeHours, describeMoment } from "./hours.ts";

type PolicyRefusal = Exclude<PolicyAnswer, { readonly outcome: "match" }>;

/** @param usable a sentence that says which databases the person may ask for */
export function refusalError(
  answer: PolicyRefusal,
  { database, profile, breakGlass }: PolicyQuestion,
  usable: string,
): JitdbError {
  const target = `${profile} on ${database.name}`;
  switch (answer.outcome) {
    case "no_policy":
      if (breakGlass === true) {
        return new JitdbError(
          "policy.no_match",
          `No policy opens ${database.name} to you in an emergency.`,
          { hint: "Ask without --break-glass." },
        );
      }
      return new JitdbError("policy.no_match", `No policy lets you ask for ${database.name}.`, {
        hint: usable,
      });
    case "profile":
      return new JitdbError(
        "policy.no_match",
        `No policy lets you ask for the profile ${profile} of ${database.name}.`,
        { hint: `Ask with --profile ${answer.profiles.join(" or --profile ")}.` },
      );
    case "condition": {
      const conditions = answer.policies.map(({ name, when }) => `${name} (when: ${when})`);
      return new JitdbError(
        "policy.no_match",
        `No policy lets you ask for ${target} like this: ${conditions.join(", ")} does not hold.`,
        { hint: "Ask with what the condition wants, or ask an administrator." },
      );
    }
    case "condition_failed":
      return new JitdbError(
        "policy.no_match",
        `The condition of the policy ${answer.policy.name} for ${target} failed: ${answer.failure}.`,
        { hint: "Ask an administrator to mend its when:." },
      );
    case "duration": {
      const longest = formatDuration(answer.policy.maxDurationMs);
      return new JitdbError(
        "policy.duration",
        `${formatDuration(answer.durationMs)} is too long: the policy ${answer.policy.name} allows ${longest} at the most for ${target}.`,
        { hint: `Ask for less with --for ${longest}.` },
      );
    }
    case "duration_missing":
      return new JitdbError(
        "usage.duration",
        `The policy ${answer.policy.name} has no default duration for ${target}.`,
        {
          hint: `Say how long with --for, up to ${formatDuration(answer.policy.maxDurationMs)}.`,
        },
      );
    case "reason_missing":
      return new JitdbError(
        "usage.invalid",
        `The policy ${answer.policy.name} wants a reason for ${target}.`,
        { hint: "Say why with --reason." },
      );
    case "reason_pattern":
      return new JitdbError(
        "usage.invalid",
        `The policy ${answer.policy.name} wants a reason for ${target} that matches ${answer.policy.reasonPattern}.`,
        { hint: "Say why with --reason." },
      );
    case "hours":
      return hoursError(answer, target);
  }
}

function hoursError(
  { policy, opensAt }: Extract<PolicyRefusal, { readonly outcome: "hours" }>,
  target: string,
): JitdbError {
  const hours = policy.hours ?? [];
  const message = `The policy ${policy.name} gives ${target} only within ${describeHours(hours)}.`;
  const hint =
    opensAt === undefined
      ? "Ask for less with --for: no window is that long."
      : `It would fit from ${describeMoment(opensAt, hours[0]?.zone ?? "UTC")}; ask then, or now with --at.`;
  return new JitdbError("policy.limit", message, { hint });
}
