// Who may ask for what: the ordered policies, and nothing but them. Knows no store, no clock, no caller.

import { JitdbError } from "@jitdb/shared/errors";
import picomatch from "picomatch";
import type { Policy } from "../config/config.ts";
import {
  type Condition,
  type ConditionFacts,
  compileCondition,
  noRecentGrants,
  type RecentGrants,
} from "./policies/condition.ts";
import { withinHours } from "./policies/hours.ts";
import { isTimeout, runBounded } from "./policies/time-bound.ts";

/** Who asks. Names, because policies are written with names. */
export interface Asker {
  /** Or of the service. */
  readonly person: string;
  readonly groups: readonly string[];
  /** Whether a service asks, and no person. */
  readonly service?: boolean;
  /** Asks by --break-glass: the rules for that decide, and no others do. */
  readonly breakGlass?: boolean;
}

/** What is asked for: its name, labels, and every profile that it has. */
export interface PolicyTarget {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly profiles: readonly string[];
}

export interface PolicyQuestion extends Asker {
  readonly database: PolicyTarget;
  readonly profile: string;
  /** Absent: as long as the policy says for whoever does not say. */
  readonly durationMs?: number | undefined;
  readonly reason: string;
  /** Epoch ms at which the grant would begin. */
  readonly start: number;
  readonly deviceConfirmed: boolean;
  /** The thumbprint of its key; absent: not known. */
  readonly deviceId?: string;
  /** Absent: nothing. */
  readonly recent?: RecentGrants;
}

export type PolicyAnswer =
  /** `durationMs`: as asked, else the policy's. `latestStart` (epoch ms): a grant that begins later leaves the policy's hours. */
  | {
      readonly outcome: "match";
      readonly policy: Policy;
      readonly durationMs: number;
      readonly latestStart?: number;
    }
  /** No policy lets this person ask for this database at all. */
  | { readonly outcome: "no_policy" }
  /** Not for this profile, or there is none of that name; for `profiles` one does. */
  | { readonly outcome: "profile"; readonly profiles: readonly string[] }
  /** These would decide, and their conditions do not hold. */
  | { readonly outcome: "condition"; readonly policies: readonly Policy[] }
  /** Its condition could not be evaluated; `failure` says why. */
  | { readonly outcome: "condition_failed"; readonly policy: Policy; readonly failure: string }
  | { readonly outcome: "duration"; readonly policy: Policy; readonly durationMs: number }
  /** Nobody said how long, neither who asks nor the policy. */
  | { readonly outcome: "duration_missing"; readonly policy: Policy }
  /** `opensAt` (epoch ms): when this duration fits next; absent: never. */
  | { readonly outcome: "hours"; readonly policy: Policy; readonly opensAt?: number }
  | { readonly outcome: "reason_pattern"; readonly policy: Policy }
  | { readonly outcome: "reason_missing"; readonly policy: Policy };

/** A profile that somebody may ask for, and the policy that decides then. */
export interface AllowedProfile {
  readonly profile: string;
  readonly policy: Policy;
}

/**
 * The first policy that covers person, database and profile, and whose condition holds, decides; without one the answer
 * is no. A condition that cannot be evaluated ends the search: what stands behind it may be wider.
 *
 * SECURITY: the longest duration and the reason are limits of that policy, not conditions of its match. Were they
 * conditions, whoever is held to 15 minutes by an early policy would ask for an hour and fall through to a wider one.
 */
export class Policies {
  readonly #rules: readonly Rule[];

  constructor(policies: readonly Policy[]) {
    this.#rules = policies.map((policy) => ({
      policy,
      isDatabase: matcher(policy.databases),
      isProfile: matcher(policy.profiles),
      ...(policy.when !== undefined && { condition: requireCondition(policy.when) }),
    }));
  }

  evaluate(question: PolicyQuestion): PolicyAnswer {
    const { database, profile } = question;
    const missed: Policy[] = [];
    for (const { policy, condition } of this.#covering(question, database, profile)) {
      const result = condition?.(factsOf(policy, question)) ?? { holds: true };
      if ("failure" in result) {
        return { outcome: "condition_failed", policy, failure: result.failure };
      }
      if (result.holds) {
        return limitsOf(policy, question);
      }
      missed.push(policy);
    }
    if (missed.length > 0) {
      return { outcome: "condition", policies: missed };
    }
    const profiles = this.profilesFor(question, database).map((allowed) => allowed.profile);
    return profiles.length === 0 ? { outcome: "no_policy" } : { outcome: "profile", profiles };
  }

  /**
   * The profiles of a database that somebody may ask for, in the database's order, each with the first policy that may
   * decide: conditions look at what is only known when it is asked for.
   */
  profilesFor(asker: Asker, database: PolicyTarget): AllowedProfile[] {
    return database.profiles.flatMap((profile) => {
      const [first] = this.#covering(asker, database, profile);
      return first === undefined ? [] : [{ profile, policy: first.policy }];
    });
  }

  /** Whether a policy of this name covers it today, whichever stands before it. */
  covers(policy: string, asker: Asker, database: PolicyTarget, profile: string): boolean {
    return this.#covering(asker, database, profile).some((rule) => rule.policy.name === policy);
  }

  #covering(asker: Asker, database: PolicyTarget, profile: string): Rule[] {
    if (!database.profiles.includes(profile)) {
      return [];
    }
    return this.#rules.filter(
      ({ policy, isDatabase, isProfile }) =>
        // SECURITY: without this a rule for emergencies would answer everyday requests.
        (policy.breakGlass !== undefined) === (asker.breakGlass ?? false) &&
        isNamed(asker, policy) &&
        isDatabase(database.name) &&
        hasLabels(database, policy) &&
        isProfile(profile),
    );
  }
}

/** What the policy that decides limits. */
function limitsOf(policy: Policy, question: PolicyQuestion): PolicyAnswer {
  const { start } = question;
  const durationMs = question.durationMs ?? policy.defaultDurationMs;
  if (durationMs === undefined) {
    return { outcome: "duration_missing", policy };
  }
  // Written so that NaN is refused as well.
  if (!(durationMs > 0 && durationMs <= policy.maxDurationMs)) {
    return { outcome: "duration", policy, durationMs };
  }
  const reason = question.reason.trim();
  if ((policy.reasonRequired || policy.breakGlass !== undefined) && reason === "") {
    return { outcome: "reason_missing", policy };
  }
  if (reason !== "" && policy.reasonPattern !== undefined && !fits(policy.reasonPattern, reason)) {
    return { outcome: "reason_pattern", policy };
  }
  if (policy.hours === undefined) {
    return { outcome: "match", policy, durationMs };
  }
  const { inside, ...when } = withinHours(policy.hours, start, durationMs);
  return inside
    ? { outcome: "match", policy, durationMs, ...when }
    : { outcome: "hours", policy, ...when };
}

function fits(pattern: string, reason: string): boolean {
  try {
    return runBounded(() => new RegExp(pattern, "u").test(reason));
  } catch (error) {
    if (isTimeout(error)) {
      return false;
    }
    throw error;
  }
}

/** Where nobody said how long, a condition looks at the longest time that would be allowed. */
function factsOf(policy: Policy, question: PolicyQuestion): ConditionFacts {
  const { service = false, groups, database, profile, start, recent = noRecentGrants } = question;
  const durationMs = question.durationMs ?? policy.defaultDurationMs ?? policy.maxDurationMs;
  return {
    person: service ? "" : question.person,
    service: service ? question.person : "",
    groups,
    device: { id: question.deviceId ?? "", confirmed: question.deviceConfirmed },
    database,
    profile,
    minutes: Math.ceil(durationMs / 60_000),
    reason: question.reason.trim(),
    start,
    recent,
  };
}

/** The file was checked when it was loaded. */
function requireCondition(text: string): Condition {
  const compiled = compileCondition(text);
  if (!compiled.ok) {
    throw new JitdbError("config.invalid", `The condition ${text} ${compiled.problem}.`);
  }
  return compiled.condition;
}

interface Rule {
  readonly policy: Policy;
  readonly isDatabase: (name: string) => boolean;
  readonly isProfile: (name: string) => boolean;
  readonly condition?: Condition;
}

/** SECURITY: a leading `!` means nothing here. In a list of which one has to match, `!secret` would match all the rest. */
function matcher(globs: readonly string[]): (name: string) => boolean {
  return picomatch([...globs], { nonegate: true });
}

/** SECURITY: a service is named as a service. Else a group, or the name of a person who left, would let a CI job in. */
function isNamed({ person, groups, service = false }: Asker, { who }: Policy): boolean {
  if (service) {
    return who.services.includes(person);
  }
  return who.people.includes(person) || who.groups.some((group) => groups.includes(group));
}

function hasLabels({ labels }: PolicyTarget, policy: Policy): boolean {
  return Object.entries(policy.labels ?? {}).every(([label, value]) => labels[label] === value);
}
