// Policies that let somebody have alone what needs others to agree.
//
// Definition. A policy is undermined when whoever may ask by it gets at least the same rights on the same database by another
// policy with nobody's consent, or with one person's where it wants two or more. Where conditions have a say, only the latter kind
// of policy counts: that short or small things pass by themselves is what conditions are for. At least the same rights: a profile with
// no lower privileges, all of the schemas and all of the allowed privileges. The same database: host, port and name inside the
// server. Whoever: one group, person or service; what somebody in two groups can do is not looked at. Break-glass is another
// way by design, and reviewed; it is named where nobody but its own people review it. That a group asks and approves is no finding:
// nobody approves their own request.

import { formatDuration } from "@jitdb/shared/duration";
import type { DatabaseConfig, Policy } from "../../../config/config.ts";
import { type Asker, Policies, type PolicyQuestion } from "../../policy.ts";
import { isNoWider } from "../../requests/narrower.ts";
import { askersOf, sayAsker } from "./askers.ts";
import { approvalsOf, deciderOf, type Finding } from "./finding.ts";
import { paletteOf, plainRequest, sampleRequests } from "./samples.ts";

export type AnalysedDatabase = Pick<
  DatabaseConfig,
  "name" | "labels" | "profiles" | "host" | "port" | "database"
>;

/** Where a condition has a say: how many kinds of request are tried, and how often each. */
const tries = { kinds: 60, samples: 40 } as const;

/** A request that a policy decides. */
interface Way {
  readonly policy: Policy;
  readonly question: PolicyQuestion;
  /** Whether no condition had a say. */
  readonly certain: boolean;
  readonly rights: Parameters<typeof isNoWider>[0];
}

export function underminedPolicies(
  policies: readonly Policy[],
  databases: readonly AnalysedDatabase[],
): Finding[] {
  const finder = new WayFinder(policies);
  const findings = distinctAskers(policies).flatMap((asker) =>
    sameDatabases(databases).flatMap((together) =>
      findingsAmong(together.flatMap((database) => finder.waysOf(asker, database))),
    ),
  );
  // The first of each two policies is enough.
  const byPair = new Map(
    findings
      .toReversed()
      .map((finding) => [finding.examples.map(({ decidedBy }) => decidedBy).join("\0"), finding]),
  );
  return [
    ...[...byPair.values()].toReversed(),
    ...policies.flatMap(longerThanItself),
    ...policies.flatMap(ownReview),
  ];
}

function findingsAmong(ways: readonly Way[]): Finding[] {
  return ways.flatMap((guarded) =>
    ways.filter((way) => undermines(guarded, way)).map((way) => toFinding(guarded, way)),
  );
}

/** Names of the file that mean one database of one server, together. */
function sameDatabases(databases: readonly AnalysedDatabase[]): AnalysedDatabase[][] {
  const byAddress = new Map<string, AnalysedDatabase[]>();
  for (const database of databases) {
    const address = [database.host, database.port, database.database].join("\0");
    byAddress.set(address, [...(byAddress.get(address) ?? []), database]);
  }
  return [...byAddress.values()];
}

/** Who may ask by the everyday policies, each once. */
function distinctAskers(policies: readonly Policy[]): Asker[] {
  const everyday = policies.filter(({ breakGlass }) => breakGlass === undefined);
  const askers = everyday.flatMap(askersOf);
  return [...new Map(askers.map((asker) => [JSON.stringify(asker), asker])).values()];
}

function undermines(guarded: Way, way: Way): boolean {
  const wanted = approvalsOf(guarded.policy.approval);
  const given = approvalsOf(way.policy.approval);
  // That a condition lets short or small things pass by themselves is what conditions are for.
  const fewer = given < Math.min(wanted, 2) && (wanted > 1 || (guarded.certain && way.certain));
  return guarded.policy !== way.policy && fewer && isNoWider(guarded.rights, way.rights);
}

function isSameRequest({ question: one }: Way, { question: other }: Way): boolean {
  return one.profile === other.profile && one.database.name === other.database.name;
}

function toFinding(guarded: Way, way: Way): Finding {
  const [wanted, given] = [guarded, way].map(({ policy }) => approvalsOf(policy.approval));
  const ask = ({ question: { profile, database } }: Way) => `${profile} on ${database.name}`;
  const who = sayAsker({
    ...guarded.question,
    person: guarded.question.person === "somebody" ? "" : guarded.question.person,
  });
  const consent = given === 0 ? "nobody's consent" : "one person's consent";
  const message = isSameRequest(guarded, way)
    ? `wants ${wanted} to agree, and ${way.policy.name} gives the same with ${consent} where a condition lets it: ${who} gets ${ask(way)}, asked for ${sayQuestion(way.question)}.`
    : `wants ${wanted} to agree, and ${way.policy.name} gives as much or more with ${consent}: ${who}, who may ask for ${ask(guarded)}, gets ${ask(way)}${way.certain ? "" : `, asked for ${sayQuestion(way.question)}`}.`;
  return {
    policy: guarded.policy.name,
    severity: guarded.certain && way.certain ? "warning" : "hint",
    message,
    examples: [guarded, way].map(({ policy, question }) => ({ question, decidedBy: policy.name })),
  };
}

function sayQuestion({ durationMs = 0, reason, start, deviceConfirmed }: PolicyQuestion): string {
  const why = reason === "" ? "without a reason" : `because of "${reason}"`;
  const device = deviceConfirmed ? "" : " from a new device";
  return `${formatDuration(durationMs)} ${why}${device}, from ${new Date(start).toISOString()} on`;
}

/** More time by extension than the policy gives at first, with fewer people. */
function longerThanItself({ name, approval, extend, maxDurationMs }: Policy): Finding[] {
  const wanted = approvalsOf(approval);
  if (extend === undefined || approvalsOf(extend.approval) >= Math.min(wanted, 2)) {
    return [];
  }
  const moreMs = extend.times * extend.byMs;
  if (moreMs <= maxDurationMs) {
    return [];
  }
  const consent = extend.approval.kind === "automatic" ? "nobody's consent" : "one person's";
  const message = `wants ${wanted} to agree to ${formatDuration(maxDurationMs)} at the most, and extends by ${formatDuration(moreMs)} in all with ${consent}.`;
  return [{ policy: name, severity: "warning", message, examples: [] }];
}

function ownReview({ name, who, breakGlass, approval }: Policy): Finding[] {
  const groups = breakGlass?.reviewGroups ?? [];
  const own = groups.length > 0 && groups.every((group) => who.groups.includes(group));
  if (!own || approvalsOf(approval) > 0) {
    return [];
  }
  const message = `lets members of ${groups.join(" and ")} in by --break-glass, and nobody else reviews it.`;
  return [{ policy: name, severity: "hint", message, examples: [] }];
}

/** The policies that decide what an asker may ask for on a database, each with a request: certain without conditions, tried with them. */
class WayFinder {
  readonly #single: readonly { readonly policy: Policy; readonly engine: Policies }[];
  /** Covering policies whose conditions were tried, so that the same set is not tried for each of many databases. */
  readonly #tried = new Map<string, number>();

  constructor(policies: readonly Policy[]) {
    this.#single = policies.map((policy) => ({ policy, engine: new Policies([policy]) }));
  }

  waysOf(asker: Asker, database: AnalysedDatabase): Way[] {
    const target = { ...database, profiles: [...database.profiles.keys()] };
    return [...database.profiles.values()].flatMap((rights) => {
      const covering = this.#single
        .filter(({ policy, engine }) => engine.covers(policy.name, asker, target, rights.name))
        .map(({ policy }) => policy);
      const first = covering.findIndex(({ when }) => when === undefined);
      const possible = first < 0 ? covering : covering.slice(0, first + 1);
      return this.#requests(possible, asker, target, rights.name).map((way) => ({
        ...way,
        rights,
      }));
    });
  }

  #requests(
    possible: readonly Policy[],
    asker: Asker,
    target: Parameters<typeof plainRequest>[1],
    profile: string,
  ): Omit<Way, "rights">[] {
    const [only, ...more] = possible;
    if (only === undefined) {
      return [];
    }
    if (only.when === undefined && more.length === 0) {
      return [{ policy: only, question: plainRequest(asker, target, profile), certain: true }];
    }
    const kind = JSON.stringify([possible.map(({ name }) => name), target.labels, profile]);
    const before = this.#tried.get(kind) ?? 0;
    if (before >= 2 || this.#tried.size >= tries.kinds) {
      return [];
    }
    this.#tried.set(kind, before + 1);
    const engine = new Policies(possible);
    const palette = paletteOf(possible);
    const options = { count: tries.samples, moreGroups: false };
    const decided = new Map<string, PolicyQuestion>();
    for (const question of sampleRequests(palette, asker, target, profile, options)) {
      const decider = deciderOf(engine, question);
      if (decider !== undefined && !decided.has(decider)) {
        decided.set(decider, question);
      }
    }
    return possible.flatMap((policy) => {
      const question = decided.get(policy.name);
      return question === undefined ? [] : [{ policy, question, certain: false }];
    });
  }
}
