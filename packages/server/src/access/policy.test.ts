import { describe, expect, test } from "vitest";
import type { Policy } from "../config/config.ts";
import { Policies, type PolicyQuestion, type PolicyTarget } from "./policy.ts";

const minute = 60_000;

const orders: PolicyTarget = {
  name: "prod-orders",
  labels: { env: "prod", team: "shop" },
  profiles: ["read-only", "read-write", "admin"],
};

const question: PolicyQuestion = {
  person: "alice",
  groups: ["developers"],
  database: orders,
  profile: "read-only",
  durationMs: 30 * minute,
  reason: "",
  start: 0,
  deviceConfirmed: true,
};

function policy(name: string, fields: Partial<Policy> = {}): Policy {
  return {
    name,
    who: { groups: ["developers"], people: [], services: [] },
    databases: ["*"],
    profiles: ["*"],
    maxDurationMs: 60 * minute,
    approval: { kind: "automatic" },
    requestLifetimeMs: 24 * 60 * minute,
    reasonRequired: false,
    drainMs: 0,
    ...fields,
  };
}

interface Row {
  readonly title: string;
  readonly policies: readonly Policy[];
  readonly ask?: Partial<PolicyQuestion>;
  readonly answer: object;
}

const rows: Row[] = [
  {
    title: "refuses when there are no policies at all",
    policies: [],
    answer: { outcome: "no_policy" },
  },
  {
    title: "lets a member of a named group in",
    policies: [policy("a")],
    answer: { outcome: "match", policy: { name: "a" } },
  },
  {
    title: "lets a named person in",
    policies: [policy("a", { who: { groups: [], people: ["alice"], services: [] } })],
    ask: { groups: [] },
    answer: { outcome: "match", policy: { name: "a" } },
  },
  {
    title: "does not take a group's name for a person's",
    policies: [policy("a", { who: { groups: ["alice"], people: ["developers"], services: [] } })],
    answer: { outcome: "no_policy" },
  },
  {
    title: "names nobody where a policy names nobody",
    policies: [policy("a", { who: { groups: [], people: [], services: [] } })],
    ask: { groups: [] },
    answer: { outcome: "no_policy" },
  },
  {
    title: "takes the first of two that match",
    policies: [policy("a"), policy("b")],
    answer: { outcome: "match", policy: { name: "a" } },
  },
  {
    title: "goes past a policy for other databases",
    policies: [policy("a", { databases: ["staging-*", "test"] }), policy("b")],
    answer: { outcome: "match", policy: { name: "b" } },
  },
  {
    title: "matches a database by a glob",
    policies: [policy("a", { databases: ["prod-*"] })],
    answer: { outcome: "match", policy: { name: "a" } },
  },
  {
    title: "does not match a glob in the middle of a name",
    policies: [policy("a", { databases: ["orders"] })],
    answer: { outcome: "no_policy" },
  },
  {
    title: "does not read a leading ! as everything else",
    policies: [policy("a", { databases: ["!staging"] })],
    answer: { outcome: "no_policy" },
  },
  {
    title: "wants every label of the policy",
    policies: [policy("a", { labels: { env: "prod", team: "billing" } })],
    answer: { outcome: "no_policy" },
  },
  {
    title: "matches labels where the database has more of them",
    policies: [policy("a", { labels: { env: "prod" } })],
    answer: { outcome: "match", policy: { name: "a" } },
  },
  {
    title: "does not find a label on the prototype",
    policies: [policy("a", { labels: { constructor: "Object" } })],
    answer: { outcome: "no_policy" },
  },
  {
    title: "names the profiles that one may ask for when this one is not covered",
    policies: [policy("a", { profiles: ["read-*"] })],
    ask: { profile: "admin" },
    answer: { outcome: "profile", profiles: ["read-only", "read-write"] },
  },
  {
    title: "does not match a profile that the database does not have",
    policies: [policy("a", { profiles: ["*"] })],
    ask: { profile: "everything" },
    answer: { outcome: "profile", profiles: ["read-only", "read-write", "admin"] },
  },
  {
    title: "allows exactly the longest duration",
    policies: [policy("a")],
    ask: { durationMs: 60 * minute },
    answer: { outcome: "match", policy: { name: "a" } },
  },
  {
    title: "refuses a millisecond more, with the policy whose limit it is",
    policies: [policy("a")],
    ask: { durationMs: 60 * minute + 1 },
    answer: { outcome: "duration", policy: { name: "a", maxDurationMs: 60 * minute } },
  },
  {
    title: "does not fall through to a wider policy for a longer duration",
    policies: [policy("a", { maxDurationMs: minute }), policy("b")],
    answer: { outcome: "duration", policy: { name: "a" } },
  },
  ...[0, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e308].map((durationMs) => ({
    title: `refuses a duration of ${durationMs} (invariant 6)`,
    policies: [policy("a")],
    ask: { durationMs },
    answer: { outcome: "duration" },
  })),
  {
    title: "wants a reason where the policy does",
    policies: [policy("a", { reasonRequired: true })],
    ask: { reason: "  " },
    answer: { outcome: "reason_missing", policy: { name: "a" } },
  },
  {
    title: "takes any reason",
    policies: [policy("a", { reasonRequired: true })],
    ask: { reason: "ticket 7" },
    answer: { outcome: "match", policy: { name: "a" } },
  },
];

describe("policies", () => {
  test.each(rows)("$title", ({ policies, ask, answer }) => {
    expect(new Policies(policies).evaluate({ ...question, ...ask })).toMatchObject(answer);
  });

  test("tell each profile with the policy that decides about it", () => {
    const readOnly = policy("quick", { profiles: ["read-only"] });
    const writing = policy("careful", { profiles: ["read-*"] });
    expect(new Policies([readOnly, writing]).profilesFor(question, orders)).toEqual([
      { profile: "read-only", policy: readOnly },
      { profile: "read-write", policy: writing },
    ]);
  });
});
