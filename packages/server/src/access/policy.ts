// Who may ask for what: the ordered policies, and nothing but them. Pure; knows no store, no clock, no caller.

import picomatch from "picomatch";
import type { Policy } from "../config/config.ts";

/** Who asks. Names, because policies are written with names. */
export interface Asker {
  readonly person: string;
  readonly groups: readonly string[];
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
  readonly durationMs: number;
  readonly reason: string;
}

export type PolicyAnswer =
  | { readonly outcome: "match"; readonly policy: Policy }
  /** No policy lets this person ask for this database at all. */
  | { readonly outcome: "no_policy" }
  /** Not for this profile, or there is none of that name; for `profiles` one does. */
  | { readonly outcome: "profile"; readonly profiles: readonly string[] }
  | { readonly outcome: "duration"; readonly policy: Policy }
  | { readonly outcome: "reason_missing"; readonly policy: Policy };

/** A profile that somebody may ask for, and the policy that decides then. */
export interface AllowedProfile {
  readonly profile: string;
  readonly policy: Policy;
}

/**
 * The first policy that covers person, database and profile decides; without one the answer is no.
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
    }));
  }

  evaluate(question: PolicyQuestion): PolicyAnswer {
    const { database, profile } = question;
    const policy = database.profiles.includes(profile)
      ? this.#first(question, database, profile)
      : undefined;
    if (policy === undefined) {
      const profiles = this.profilesFor(question, database).map((allowed) => allowed.profile);
      return profiles.length === 0 ? { outcome: "no_policy" } : { outcome: "profile", profiles };
    }
    // Written so that NaN is refused as well.
    if (!(question.durationMs > 0 && question.durationMs <= policy.maxDurationMs)) {
      return { outcome: "duration", policy };
    }
    const reasonRequired = policy.reasonRequired || policy.breakGlass !== undefined;
    if (reasonRequired && question.reason.trim() === "") {
      return { outcome: "reason_missing", policy };
    }
    return { outcome: "match", policy };
  }

  /** The profiles of a database that somebody may ask for, in the database's order. */
  profilesFor(asker: Asker, database: PolicyTarget): AllowedProfile[] {
    return database.profiles.flatMap((profile) => {
      const policy = this.#first(asker, database, profile);
      return policy === undefined ? [] : [{ profile, policy }];
    });
  }

  #first(asker: Asker, database: PolicyTarget, profile: string): Policy | undefined {
    return this.#rules.find(
      ({ policy, isDatabase, isProfile }) =>
        // SECURITY: without this a rule for emergencies would answer everyday requests.
        (policy.breakGlass !== undefined) === (asker.breakGlass ?? false) &&
        isNamed(asker, policy) &&
        isDatabase(database.name) &&
        hasLabels(database, policy) &&
        isProfile(profile),
    )?.policy;
  }
}

interface Rule {
  readonly policy: Policy;
  readonly isDatabase: (name: string) => boolean;
  readonly isProfile: (name: string) => boolean;
}

/** SECURITY: a leading `!` means nothing here. In a list of which one has to match, `!secret` would match all the rest. */
function matcher(globs: readonly string[]): (name: string) => boolean {
  return picomatch([...globs], { nonegate: true });
}

function isNamed({ person, groups }: Asker, { who }: Policy): boolean {
  return who.people.includes(person) || who.groups.some((group) => groups.includes(group));
}

function hasLabels({ labels }: PolicyTarget, policy: Policy): boolean {
  return Object.entries(policy.labels ?? {}).every(([label, value]) => labels[label] === value);
}
