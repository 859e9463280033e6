// Policies that decide nothing. Proven from who, databases and profiles alone, whatever conditions say; and tried with many
// requests where only conditions could tell, which proves nothing and is said so.

import type { Policy } from "../../../config/config.ts";
import { type Asker, Policies, type PolicyTarget } from "../../policy.ts";
import { withinHours } from "../hours.ts";
import { askersOf, sayAsker } from "./askers.ts";
import type { Finding } from "./finding.ts";
import { type Palette, paletteOf, plainRequest, sampleRequests } from "./samples.ts";

/** Kinds of request that are tried for one policy, and how often each. */
const tries = { kinds: 6, samples: 150 } as const;

/** One thing that a policy lets somebody ask for, and the earlier policy without a condition that has it, too. */
interface Covered {
  readonly asker: Asker;
  readonly database: PolicyTarget;
  readonly profile: string;
  readonly by: string | undefined;
}

/** The policies that no request reaches: they cover none, or earlier ones without a condition cover all of theirs. */
export function deadPolicies(
  policies: readonly Policy[],
  targets: readonly PolicyTarget[],
): Finding[] {
  return singly(policies).flatMap((single, index, all) => {
    const { policy } = single;
    const covered = coveredBy(single, all.slice(0, index), targets);
    const [first] = covered;
    if (first === undefined) {
      const message = "can never match: no database has its labels and one of its profiles.";
      return [{ policy: policy.name, severity: "warning" as const, message, examples: [] }];
    }
    const { by } = first;
    if (by === undefined || covered.some((each) => each.by === undefined)) {
      return [];
    }
    const request = `${sayAsker(first.asker)} asks for ${first.profile} on ${first.database.name}`;
    const message = `never decides: earlier policies cover all of it. Where ${request}, ${by} decides.`;
    const question = plainRequest(first.asker, first.database, first.profile);
    const examples = earlierDecide(policies.slice(0, index), by)
      ? [{ question, decidedBy: by }]
      : [];
    return [{ policy: policy.name, severity: "warning" as const, message, examples }];
  });
}

/** Those that none of many tried requests reached, and that are not dead for sure; and those whose longest time no window has. */
export function unreachedPolicies(
  policies: readonly Policy[],
  targets: readonly PolicyTarget[],
): Finding[] {
  const dead = new Set(deadPolicies(policies, targets).map(({ policy }) => policy));
  const engine = new Policies(policies);
  return singly(policies).flatMap((single, index, all) => {
    const { policy } = single;
    if (dead.has(policy.name)) {
      return [];
    }
    const open = coveredBy(single, all.slice(0, index), targets).filter(
      ({ by }) => by === undefined,
    );
    const kinds = spread(open, tries.kinds);
    // What stands in the conditions that have a say, so that few requests meet them by chance.
    const involved = all
      .slice(0, index + 1)
      .filter(({ policy: { name }, only }) =>
        kinds.some(({ asker, database, profile }) => only.covers(name, asker, database, profile)),
      )
      .map(({ policy: each }) => each);
    return [...unreached(engine, paletteOf(involved), policy, kinds), ...neverAsLong(policy)];
  });
}

function unreached(
  engine: Policies,
  palette: Palette,
  policy: Policy,
  kinds: readonly Covered[],
): Finding[] {
  const options = { count: tries.samples, moreGroups: true };
  const questions = kinds.flatMap(({ asker, database, profile }) =>
    sampleRequests(palette, asker, database, profile, options),
  );
  let instead = "no policy decided";
  for (const question of questions) {
    const answer = engine.evaluate(question);
    if (answer.outcome === "condition_failed") {
      instead = `the condition of ${answer.policy.name} failed (${answer.failure})`;
    } else if ("policy" in answer) {
      if (answer.policy.name === policy.name) {
        return [];
      }
      instead = `${answer.policy.name} decided`;
    }
  }
  const message = `decided none of ${questions.length} requests that were tried; for some, ${instead}. That is no proof: see that its condition and those before it are meant so.`;
  return [{ policy: policy.name, severity: "hint", message, examples: [] }];
}

function neverAsLong({ name, hours, maxDurationMs }: Policy): Finding[] {
  if (hours === undefined) {
    return [];
  }
  const answer = withinHours(hours, 0, maxDurationMs);
  if (answer.inside || answer.opensAt !== undefined) {
    return [];
  }
  const message = "never gives its maxDuration: none of its hours is that long.";
  return [{ policy: name, severity: "warning", message, examples: [] }];
}

/** A policy as if it were the only one. */
interface Single {
  readonly policy: Policy;
  readonly only: Policies;
}

function singly(policies: readonly Policy[]): Single[] {
  return policies.map((policy) => ({ policy, only: new Policies([policy]) }));
}

function coveredBy(
  { policy, only: own }: Single,
  earlier: readonly Single[],
  targets: readonly PolicyTarget[],
): Covered[] {
  const certain = earlier.filter(({ policy: { when } }) => when === undefined);
  return askersOf(policy).flatMap((asker) =>
    targets.flatMap((database) =>
      own.profilesFor(asker, database).map(({ profile }) => {
        const by = certain.find(({ policy: { name }, only }) =>
          only.covers(name, asker, database, profile),
        );
        return { asker, database, profile, by: by?.policy.name };
      }),
    ),
  );
}

/** Whether none with a condition stands before the one that decides, so that the plain request is decided by it. */
function earlierDecide(earlier: readonly Policy[], by: string): boolean {
  const place = earlier.findIndex(({ name }) => name === by);
  return earlier.slice(0, place).every(({ when }) => when === undefined);
}

/** At most so many, from everywhere in the list. */
function spread<T>(list: readonly T[], most: number): T[] {
  const step = Math.max(1, list.length / most);
  return Array.from({ length: Math.min(most, list.length) }, (_, index) => {
    return list[Math.floor(index * step)];
  }).filter((each) => each !== undefined);
}
