// Policies that decide nothing, proven from who, databases and profiles alone. Conditions, hours and durations are not looked at:
// what is reported holds whatever they say, and what they rule out beyond it is not found.

import type { Policy } from "../../config/config.ts";
import { type Asker, Policies, type PolicyTarget } from "../policy.ts";

export interface DeadPolicy {
  readonly policy: string;
  /** Why, with an example request where there is one. */
  readonly message: string;
}

/** The policies that no request reaches: they cover none, or earlier ones without a condition cover all of theirs. */
export function deadPolicies(
  policies: readonly Policy[],
  targets: readonly PolicyTarget[],
): DeadPolicy[] {
  return policies.flatMap((policy, index) => {
    const own = new Policies([policy]);
    const before = new Policies(policies.slice(0, index).filter(({ when }) => when === undefined));
    const covered = askersOf(policy).flatMap((asker) =>
      targets.flatMap((database) =>
        own.profilesFor(asker, database).map(({ profile }) => {
          const earlier = before.profilesFor(asker, database);
          const by = earlier.find((allowed) => allowed.profile === profile)?.policy.name;
          return { asker, request: `${profile} on ${database.name}`, by };
        }),
      ),
    );
    const [first] = covered;
    if (first === undefined) {
      const message = "can never match: no database has its labels and one of its profiles.";
      return [{ policy: policy.name, message }];
    }
    if (covered.some(({ by }) => by === undefined)) {
      return [];
    }
    const who = first.asker.person || `a member of ${first.asker.groups.join()}`;
    const message = `never decides: earlier policies cover all of it. Where ${who} asks for ${first.request}, ${first.by} decides.`;
    return [{ policy: policy.name, message }];
  });
}

/** The least that lets somebody ask: one group, or a name. Whoever has more is covered by no fewer policies. */
function askersOf({ who, breakGlass }: Policy): Asker[] {
  const kind = { breakGlass: breakGlass !== undefined };
  return [
    ...who.people.map((person) => ({ ...kind, person, groups: [] })),
    ...who.services.map((person) => ({ ...kind, person, groups: [], service: true })),
    ...who.groups.map((group) => ({ ...kind, person: "", groups: [group] })),
  ];
}
