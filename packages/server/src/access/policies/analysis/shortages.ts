// Policies that the people of the server cannot carry out: too few who may approve, ask or review. By the accounts that there are now.

import type { Policy, PolicyStage } from "../../../config/config.ts";
import { stagesOfRule } from "../../requests/stages.ts";
import type { Finding } from "./finding.ts";

/** Somebody with an account that is not disabled; no service. */
export interface Member {
  readonly name: string;
  readonly groups: readonly string[];
}

export function shortages(policies: readonly Policy[], members: readonly Member[]): Finding[] {
  return policies.flatMap((policy) =>
    [
      ...askerShortage(policy, members),
      ...approverShortage(policy, members),
      ...reviewerShortage(policy, members),
    ].map((message) => ({
      policy: policy.name,
      severity: "warning" as const,
      message,
      examples: [],
    })),
  );
}

function askerShortage(policy: Policy, members: readonly Member[]): string[] {
  const { groups, services, people } = policy.who;
  const named = services.length > 0 || askersAmong(policy, members).length > 0;
  if (named) {
    return [];
  }
  const who = [
    ...people.map((name) => `there is no ${name}`),
    ...groups.map((group) => `nobody is in ${group}`),
  ];
  return [`lets nobody ask: ${who.join(", and ")}.`];
}

function approverShortage(policy: Policy, members: readonly Member[]): string[] {
  const stages = stagesOfRule(policy.approval);
  const askers = askersAmong(policy, members);
  const stuck = askers.filter((asker) => !canComplete(stages, membersBut(members, asker)));
  if (stages.length === 0 || (askers.length > 0 && stuck.length === 0)) {
    return [];
  }
  if (askers.length === 0 && canComplete(stages, members)) {
    return [];
  }
  const wanted = stages.map((stage) => sayStage(stage, members)).join(", then ");
  const whose =
    stuck.length < askers.length
      ? `requests of ${stuck.map(({ name }) => name).join(", ")}`
      : "any request";
  return [
    `can't be approved for ${whose}: it wants ${wanted}, and nobody approves twice or what they asked themselves.`,
  ];
}

function reviewerShortage(policy: Policy, members: readonly Member[]): string[] {
  const groups = policy.breakGlass?.reviewGroups ?? [];
  const reviewers = inGroups(members, groups);
  const [only, ...more] = reviewers;
  if (policy.breakGlass === undefined || more.length > 0) {
    return [];
  }
  if (only === undefined) {
    return [`has no reviewers: nobody is in ${groups.join(" or ")}.`];
  }
  const isAsker = askersAmong(policy, members).includes(only);
  return isAsker
    ? [`has no reviewer for what ${only.name} does: nobody else is in ${groups.join(" or ")}.`]
    : [];
}

function sayStage({ count, groups }: PolicyStage, members: readonly Member[]): string {
  const names = inGroups(members, groups).map(({ name }) => name);
  return `${count} of ${groups.join(" or ")} (${names.length === 0 ? "nobody" : names.join(", ")})`;
}

function askersAmong({ who }: Policy, members: readonly Member[]): Member[] {
  const inGroup = inGroups(members, who.groups);
  return members.filter((member) => inGroup.includes(member) || who.people.includes(member.name));
}

function inGroups(members: readonly Member[], groups: readonly string[]): Member[] {
  return members.filter((member) => member.groups.some((group) => groups.includes(group)));
}

function membersBut(members: readonly Member[], one: Member): Member[] {
  return members.filter((member) => member !== one);
}

/** Whether each approval can come from somebody else: a matching of people to approvals (Kuhn's algorithm). */
function canComplete(stages: readonly PolicyStage[], members: readonly Member[]): boolean {
  const places = stages.flatMap(({ count, groups }) =>
    Array.from({ length: count }, () => inGroups(members, groups)),
  );
  const takenBy = new Map<Member, number>();
  return places.every((_, place) => findPlace(place, places, takenBy, new Set()));
}

function findPlace(
  place: number,
  places: readonly (readonly Member[])[],
  takenBy: Map<Member, number>,
  seen: Set<Member>,
): boolean {
  for (const member of places[place] ?? []) {
    if (!seen.has(member)) {
      seen.add(member);
      const other = takenBy.get(member);
      if (other === undefined || findPlace(other, places, takenBy, seen)) {
        takenBy.set(member, place);
        return true;
      }
    }
  }
  return false;
}
