// Test cases of policies, `tests:` in jitdb.yaml: what has to come of a request, and what comes of it. Knows no file.

import { formatDuration } from "@jitdb/shared/duration";
import type { PolicyStage } from "../../config/config.ts";
import type { Policies, PolicyQuestion, PolicyTarget } from "../policy.ts";
import { stagesOfRequest } from "../requests/stages.ts";
import { refusalError } from "./refusal.ts";

export const caseOutcomes = ["automatic", "approval", "refused", "break-glass"] as const;
type CaseOutcome = (typeof caseOutcomes)[number];

export interface PolicyCase {
  /** What messages call it. */
  readonly label: string;
  /** Where it stands in the file, from 1. */
  readonly line: number;
  readonly column: number;
  /** It has to hold for each of these. */
  readonly databases: readonly string[];
  readonly question: Omit<PolicyQuestion, "database">;
  readonly expected: Expectation;
}

/** What is absent may be anything. */
interface Expectation {
  readonly outcome: CaseOutcome;
  readonly rule?: string;
  /** Stages in order. */
  readonly approvers?: readonly PolicyStage[];
  readonly maxDurationMs?: number;
}

interface Verdict {
  readonly outcome: CaseOutcome;
  /** The rule that decides; several where their conditions do not hold; none where no rule covers the request. */
  readonly rules: readonly string[];
  readonly stages: readonly PolicyStage[];
  /** Absent: refused. */
  readonly maxDurationMs?: number;
  /** A sentence that says why, where it is refused; else empty. */
  readonly refusal: string;
}

export interface CaseFailure {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** What becomes of a request as soon as it is made; limits per day and the age of a login are not looked at. */
function verdictOf(policies: Policies, question: PolicyQuestion): Verdict {
  if (question.breakGlass && !question.deviceConfirmed) {
    return refused([], "Break-glass wants a confirmed device.");
  }
  const answer = policies.evaluate(question);
  if (answer.outcome !== "match") {
    return refused(rulesOf(answer), refusalError(answer, question, "").message);
  }
  const { name, approval, maxDurationMs } = answer.policy;
  const stages = stagesOfRequest(approval, question.deviceConfirmed);
  const atOnce = question.breakGlass ? "break-glass" : "automatic";
  const outcome = stages.length > 0 ? "approval" : atOnce;
  return { outcome, rules: [name], stages, maxDurationMs, refusal: "" };
}

/** The cases that do not hold, each once a database. */
export function failedCases(
  cases: readonly PolicyCase[],
  policies: Policies,
  targets: ReadonlyMap<string, PolicyTarget>,
): CaseFailure[] {
  return cases.flatMap(({ label, line, column, databases, question, expected }) =>
    databases.flatMap((name) => {
      const database = targets.get(name);
      const verdict = database && verdictOf(policies, { ...question, database });
      const wanted = verdict === undefined ? [] : differences(expected, verdict);
      if (verdict === undefined || wanted.length === 0) {
        return [];
      }
      const message = `${label}, ${name}: expected ${wanted.join(", ")}; came ${sayVerdict(verdict)}`;
      return [{ line, column, message }];
    }),
  );
}

function refused(rules: readonly string[], refusal: string): Verdict {
  return { outcome: "refused", rules, stages: [], refusal };
}

function rulesOf(answer: ReturnType<Policies["evaluate"]>): string[] {
  if ("policy" in answer) {
    return [answer.policy.name];
  }
  return "policies" in answer ? answer.policies.map(({ name }) => name) : [];
}

/** What was expected and did not come. */
function differences(expected: Expectation, verdict: Verdict): string[] {
  const { outcome, rule, approvers, maxDurationMs } = expected;
  const wanted: string[] = [];
  if (outcome !== verdict.outcome) {
    wanted.push(outcome);
  }
  if (rule !== undefined && !verdict.rules.includes(rule)) {
    wanted.push(`the rule ${rule}`);
  }
  if (approvers !== undefined && sayStages(approvers) !== sayStages(verdict.stages)) {
    wanted.push(`approval by ${sayStages(approvers)}`);
  }
  if (maxDurationMs !== undefined && maxDurationMs !== verdict.maxDurationMs) {
    wanted.push(`${formatDuration(maxDurationMs)} at the most`);
  }
  return wanted;
}

function sayVerdict({ outcome, rules, stages, maxDurationMs, refusal }: Verdict): string {
  if (maxDurationMs === undefined) {
    return `${outcome}: ${refusal}`;
  }
  const approvers = stages.length === 0 ? "" : ` (${sayStages(stages)})`;
  return `${outcome}${approvers} by the rule ${rules.join(", ")}, ${formatDuration(maxDurationMs)} at the most.`;
}

/** Groups of a stage have no order. */
function sayStages(stages: readonly PolicyStage[]): string {
  const said = stages.map(({ count, groups }) => `${count} of ${[...groups].sort().join(" or ")}`);
  return said.length === 0 ? "nobody" : said.join(", then ");
}
