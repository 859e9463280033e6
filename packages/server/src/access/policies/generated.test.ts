// Hundreds of generated requests, each decided by the engine and by a naive evaluator that shares no code with it.

import fc from "fast-check";
import { expect, test } from "vitest";
import type { Policy } from "../../config/config.ts";
import { Policies, type PolicyQuestion } from "../policy.ts";
import { deadPolicies } from "./analysis/dead.ts";
import { type WeeklyWindow, weekdays } from "./hours.ts";

const minute = 60_000;
const monday = Date.parse("2026-11-23T00:00:00Z");

/** Conditions in CEL beside the same in TypeScript; one fails where a label is missing. */
const conditions = new Map<string, (asked: PolicyQuestion, rule: Policy) => boolean | "fails">([
  ["device.confirmed", (asked) => asked.deviceConfirmed],
  ["minutes <= 60", (asked, rule) => lasts(asked, rule) <= 60 * minute],
  ['reason.startsWith("INC-")', (asked) => asked.reason.slice(0, 4) === "INC-"],
  ['service == ""', (asked) => asked.service !== true],
  ['person == "bob"', (asked) => asked.person === "bob" && asked.service !== true],
  ['device.id == "new"', (asked) => asked.deviceId === "new"],
  ["recent.here.day.grants < 2", (asked) => (asked.recent?.here.day.grants ?? 0) < 2],
  ["recent.anywhere.week.minutes <= 90", (asked) => used(asked) <= 90],
  ['"dba" in groups', (asked) => asked.groups.indexOf("dba") >= 0],
  ["start.getHours() < 12", (asked) => new Date(asked.start).getUTCHours() < 12],
  [
    'database.labels.tier == "gold"',
    (asked) => (asked.database.labels["tier"] === undefined ? "fails" : true),
  ],
]);

function lasts(asked: PolicyQuestion, rule: Policy): number {
  return asked.durationMs ?? rule.defaultDurationMs ?? rule.maxDurationMs;
}

function used({ recent }: PolicyQuestion): number {
  return recent === undefined ? 0 : recent.anywhere.week.minutes;
}

const group = fc.constantFrom("dev", "dba", "oncall");
const profile = fc.constantFrom("read-only", "read-write", "admin");
const clock = fc.integer({ min: 0, max: 23 }).map((hour) => `${String(hour).padStart(2, "0")}:00`);

const policy = fc.record(
  {
    who: fc.record({
      groups: fc.uniqueArray(group, { maxLength: 2 }),
      people: fc.uniqueArray(fc.constantFrom("alice", "bob"), { maxLength: 1 }),
      services: fc.uniqueArray(fc.constantFrom("nightly", "bob"), { maxLength: 1 }),
    }),
    databases: fc.constantFrom(["*"], ["prod-*"], ["staging"], ["prod-orders", "staging"]),
    labels: fc.constantFrom({ tier: "gold" }, { tier: "iron" }),
    profiles: fc.constantFrom(["*"], ["read-*"], ["admin"]),
    maxDurationMs: fc.constantFrom(15 * minute, 60 * minute, 600 * minute),
    defaultDurationMs: fc.constantFrom(10 * minute, 15 * minute),
    reasonRequired: fc.boolean(),
    reasonPattern: fc.constant("^[A-Z]+-[0-9]+"),
    when: fc.constantFrom(...conditions.keys()),
    hours: fc.array(
      fc.record({
        days: fc.uniqueArray(fc.constantFrom(...weekdays), { minLength: 1 }),
        from: clock,
        to: clock,
        zone: fc.constant("UTC"),
      }),
      { minLength: 1, maxLength: 2 },
    ),
    breakGlass: fc.constant({ reviewGroups: ["security"], withinMs: minute }),
  },
  { requiredKeys: ["who", "databases", "profiles", "maxDurationMs", "reasonRequired"] },
);

const policies = fc.array(policy, { maxLength: 6 }).map((list): Policy[] =>
  list.map((fields, index) => ({
    name: `rule-${index}`,
    approval: { kind: "automatic" },
    requestLifetimeMs: minute,
    drainMs: 0,
    ...fields,
  })),
);

const use = fc.record({ grants: fc.nat(3), minutes: fc.nat(120) });
const spans = fc.record({ day: use, week: use });

const question: fc.Arbitrary<PolicyQuestion> = fc.record({
  person: fc.constantFrom("alice", "bob", "dev", "nightly"),
  service: fc.integer({ min: 0, max: 3 }).map((one) => one === 0),
  groups: fc.uniqueArray(group),
  breakGlass: fc.boolean(),
  database: fc.record({
    name: fc.constantFrom("prod-orders", "prod-users", "staging"),
    labels: fc.constantFrom<Record<string, string>>({}, { tier: "gold" }),
    profiles: fc.constant(["read-only", "read-write", "admin"]),
  }),
  profile,
  durationMs: fc
    .constantFrom(0, 10, 15, 60, 61, 240, 601)
    .map((minutes) => (minutes === 0 ? undefined : minutes * minute)),
  reason: fc.constantFrom("", " ", "INC-1 stuck", "INC-x", "because"),
  start: fc.integer({ min: 0, max: 7 * 24 * 4 }).map((quarter) => monday + quarter * 15 * minute),
  deviceConfirmed: fc.boolean(),
  deviceId: fc.constantFrom("old", "new"),
  recent: fc.record({ here: spans, anywhere: spans }),
});

/** `rule: outcome`, step by step as an administrator would read the file. */
function naive(rules: readonly Policy[], asked: PolicyQuestion): string {
  let missed = "";
  for (const rule of rules) {
    if (!covers(rule, asked, asked.profile)) {
      continue;
    }
    const holds = rule.when === undefined ? true : conditions.get(rule.when)?.(asked, rule);
    if (holds === "fails") {
      return `${rule.name}: condition_failed`;
    }
    if (holds === true) {
      return `${rule.name}: ${limits(rule, asked)}`;
    }
    missed += `${rule.name} `;
  }
  if (missed !== "") {
    return `${missed.trim()}: condition`;
  }
  const others = asked.database.profiles.some((other) =>
    rules.some((rule) => covers(rule, asked, other)),
  );
  return others ? ": profile" : ": no_policy";
}

function covers(rule: Policy, asked: PolicyQuestion, wanted: string): boolean {
  const isNamed = asked.service
    ? rule.who.services.includes(asked.person)
    : rule.who.people.includes(asked.person) ||
      asked.groups.filter((name) => rule.who.groups.includes(name)).length > 0;
  const tier = rule.labels?.["tier"];
  return (
    isNamed &&
    (rule.breakGlass ? asked.breakGlass === true : asked.breakGlass !== true) &&
    rule.databases.some((glob) => like(glob, asked.database.name)) &&
    rule.profiles.some((glob) => like(glob, wanted)) &&
    (tier === undefined || asked.database.labels["tier"] === tier)
  );
}

function like(glob: string, text: string): boolean {
  return glob.endsWith("*") ? text.startsWith(glob.slice(0, -1)) : glob === text;
}

function limits(rule: Policy, asked: PolicyQuestion): string {
  const reason = asked.reason.trim();
  if (asked.durationMs === undefined && rule.defaultDurationMs === undefined) {
    return "duration_missing";
  }
  if (lasts(asked, rule) > rule.maxDurationMs) {
    return "duration";
  }
  if (reason === "" && (rule.reasonRequired || rule.breakGlass)) {
    return "reason_missing";
  }
  if (reason !== "" && rule.reasonPattern && !/^[A-Z]+-[0-9]/.test(reason)) {
    return "reason_pattern";
  }
  for (let at = asked.start; rule.hours && at < asked.start + lasts(asked, rule); at += minute) {
    if (!rule.hours.some((window) => "days" in window && isOpen(window, at))) {
      return "hours";
    }
  }
  return "match";
}

/** Whether a window is open in this very minute, in UTC. */
function isOpen(window: WeeklyWindow, at: number): boolean {
  const days = window.days.map((day) => weekdays.indexOf(day));
  const today = (new Date(at).getUTCDay() + 6) % 7;
  const yesterday = (today + 6) % 7;
  const time = new Date(at).toISOString().slice(11, 16);
  return window.from < window.to
    ? days.includes(today) && time >= window.from && time < window.to
    : (days.includes(today) && time >= window.from) ||
        (days.includes(yesterday) && time < window.to);
}

function engine(rules: readonly Policy[], asked: PolicyQuestion): string {
  const answer = new Policies(rules).evaluate(asked);
  const named = "policy" in answer ? [answer.policy] : "policies" in answer ? answer.policies : [];
  return `${named.map(({ name }) => name).join(" ")}: ${answer.outcome}`;
}

test("the engine and a naive evaluator decide 800 generated requests alike", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(policies, question, (rules, asked) => {
      const expected = naive(rules, asked);
      seen.add(expected.slice(expected.indexOf(": ") + 2));
      expect(engine(rules, asked)).toBe(expected);
    }),
    { numRuns: 800, seed: 5 },
  );
  // A generator that never gets somewhere would prove nothing about it.
  expect([...seen].sort()).toEqual([
    "condition",
    "condition_failed",
    "duration",
    "duration_missing",
    "hours",
    "match",
    "no_policy",
    "profile",
    "reason_missing",
    "reason_pattern",
  ]);
});

const everyTarget = ["prod-orders", "prod-users", "staging"].flatMap((name) =>
  [{}, { tier: "gold" }].map((labels) => ({
    name,
    labels,
    profiles: ["read-only", "read-write", "admin"],
  })),
);

test("the naive evaluator never gets to a policy that is reported to decide nothing", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(policies, question, (rules, asked) => {
      const [named = ""] = naive(rules, asked).split(": ");
      for (const { policy, message, examples } of deadPolicies(rules, everyTarget)) {
        seen.add(message.slice(0, 5));
        expect(named.split(" ")).not.toContain(policy);
        for (const { question: example, decidedBy } of examples) {
          expect(naive(rules, example)).toMatch(new RegExp(`^${decidedBy}: `));
        }
      }
    }),
    { numRuns: 600, seed: 7 },
  );
  expect([...seen].sort()).toEqual(["can n", "never"]);
});
