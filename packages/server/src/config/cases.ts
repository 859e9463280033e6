// `tests:` of jitdb.yaml: whether what a case names exists. What the policies say to it is in access/policies/cases.ts.

import { nearest } from "@jitdb/shared/nearest";
import type { PolicyCase } from "../access/policies/cases.ts";
import { noRecentGrants, type RecentGrants } from "../access/policies/condition.ts";
import { isNamed, namedGroups } from "../access/policies/named-groups.ts";
import type { Config, Policy } from "./config.ts";
import type { ConfigDocument, Path } from "./document.ts";
import type { CaseInput, RecentInput } from "./schema.ts";

/** A case as it is evaluated. What it names and nobody configured goes to the document. */
export function toCase(
  document: ConfigDocument,
  index: number,
  { name, given, expect }: CaseInput,
  config: Config,
): PolicyCase {
  const path = ["tests", index];
  const { databases } = config;
  checkAsker(document, [...path, "given"], given, config);
  const names = config.policies.map((policy) => policy.name);
  checkKnown(document, [...path, "expect", "rule"], "rule", expect.rule, names);
  const targets = targetsOf(document, [...path, "given"], given, databases);
  const profiles = targets.flatMap((target) => [...(databases.get(target)?.profiles.keys() ?? [])]);
  if (targets.length > 0) {
    checkKnown(document, [...path, "given", "profile"], "profile", given.profile, profiles);
  }
  if (given.at === undefined && config.policies.some(looksAtTime)) {
    document.missing([...path, "given"], "at");
  }
  return {
    label: `tests[${index}]${name === undefined ? "" : ` (${name})`}`,
    ...document.place(path),
    databases: targets,
    question: {
      person: given.person ?? given.service ?? "",
      service: given.service !== undefined,
      groups: given.groups,
      breakGlass: given.breakGlass,
      profile: given.profile,
      durationMs: given.for,
      reason: given.reason,
      start: given.at ?? 0,
      deviceConfirmed: given.device === "confirmed",
      deviceId: given.deviceId,
      recent: toRecent(given.recent),
    },
    expected: {
      outcome: expect.outcome,
      ...(expect.rule !== undefined && { rule: expect.rule }),
      ...(expect.approvers && { approvers: expect.approvers }),
      ...(expect.maxDuration !== undefined && { maxDurationMs: expect.maxDuration }),
    },
  };
}

/** What is left out is no more than what is there: a week has at least its last day, and all databases at least this one. */
export function toRecent({ here, anywhere }: RecentInput = {}): RecentGrants {
  const spans = {
    day: here?.day ?? noRecentGrants.here.day,
    week: here?.week ?? here?.day ?? noRecentGrants.here.week,
  };
  const day = anywhere?.day ?? spans.day;
  return { here: spans, anywhere: { day, week: anywhere?.week ?? anywhere?.day ?? spans.week } };
}

/** People are in the store, not in the file: any name may be one. */
function checkAsker(
  document: ConfigDocument,
  path: Path,
  { service, groups }: CaseInput["given"],
  { identity, policies }: Config,
): void {
  checkKnown(document, [...path, "service"], "service", service, Object.keys(identity.services));
  if (service !== undefined && groups.length > 0) {
    document.error([...path, "groups"], "services are in no groups.", "Leave groups out.");
  }
  const known = [...namedGroups(policies)];
  for (const [at, group] of groups.entries()) {
    if (!isNamed(policies, group)) {
      checkKnown(document, [...path, "groups", at], "group in the policies", group, known);
    }
  }
}

function targetsOf(
  document: ConfigDocument,
  path: Path,
  { database, labels }: CaseInput["given"],
  databases: Config["databases"],
): string[] {
  if (database !== undefined) {
    checkKnown(document, [...path, "database"], "database", database, [...databases.keys()]);
    return databases.has(database) ? [database] : [];
  }
  const wanted = Object.entries(labels ?? {});
  const targets = [...databases.values()].filter((target) =>
    wanted.every(([label, value]) => target.labels[label] === value),
  );
  if (targets.length === 0) {
    document.error([...path, "labels"], "no database has these labels.");
  }
  return targets.map((target) => target.name);
}

/** Without a moment, a case would hold on one day and fail on another. */
function looksAtTime({ hours, when }: Policy): boolean {
  return hours !== undefined || /\bstart\b/.test(when ?? "");
}

function checkKnown(
  document: ConfigDocument,
  path: Path,
  what: string,
  word: string | undefined,
  known: readonly string[],
): void {
  if (word !== undefined && !known.includes(word)) {
    const near = nearest(word, known);
    const all = [...new Set(known)].join(", ");
    const fix = near === undefined ? `There are: ${all}.` : `Did you mean "${near}"?`;
    document.error(path, `there is no ${what} "${word}".`, fix);
  }
}
