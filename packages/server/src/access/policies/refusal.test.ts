import { expect, test } from "vitest";
import type { Policy } from "../../config/config.ts";
import { Policies, type PolicyQuestion } from "../policy.ts";
import { refusalError } from "./refusal.ts";

const minute = 60_000;

const policy: Policy = {
  name: "prod-write",
  who: { groups: ["dev"], people: [], services: [] },
  databases: ["prod-*"],
  profiles: ["read-write"],
  maxDurationMs: 60 * minute,
  approval: { kind: "automatic" },
  requestLifetimeMs: minute,
  reasonRequired: true,
  reasonPattern: "^INC-",
  hours: [{ days: ["mon", "tue"], from: "08:00", to: "18:00", zone: "Europe/Berlin" }],
  drainMs: 0,
};

const asked: PolicyQuestion = {
  person: "alice",
  groups: ["dev"],
  database: { name: "prod-orders", labels: {}, profiles: ["read-only", "read-write"] },
  profile: "read-write",
  durationMs: 30 * minute,
  reason: "INC-1",
  start: Date.parse("2026-11-24T17:45:00+01:00"),
  deviceConfirmed: true,
};

function refusal(fields: Partial<Policy>, question: Partial<PolicyQuestion>) {
  const all = { ...asked, ...question };
  const answer = new Policies([{ ...policy, ...fields }]).evaluate(all);
  if (answer.outcome === "match") {
    throw new Error("It was granted.");
  }
  const { code, message, hint } = refusalError(answer, all, "You may ask for nothing.");
  return { code, message, hint };
}

test.each<[string, Partial<Policy>, Partial<PolicyQuestion>, string]>([
  ["the duration", {}, { durationMs: 61 * minute }, "policy.duration"],
  ["a missing reason", {}, { reason: " " }, "usage.invalid"],
  ["a reason of the wrong form", {}, { reason: "because" }, "usage.invalid"],
  [
    "a reason whose check never ends",
    { reasonPattern: "^(a+)+$" },
    { reason: `${"a".repeat(40)}b` },
    "usage.invalid",
  ],
  ["the hours", {}, {}, "policy.limit"],
  ["a condition", { when: "minutes < 5" }, {}, "policy.no_match"],
  ["a failing condition", { when: 'database.labels.tier == "gold"' }, {}, "policy.no_match"],
])("a refusal for %s names its policy", (_what, fields, question, code) => {
  expect(refusal(fields, question)).toEqual({
    code,
    message: expect.stringContaining("prod-write"),
    hint: expect.stringMatching(/\.$/),
  });
});

test("a refusal outside of hours says when they open next", () => {
  expect(refusal({}, {})).toEqual({
    code: "policy.limit",
    message:
      "The policy prod-write gives read-write on prod-orders only within mon, tue 08:00–18:00 Europe/Berlin.",
    hint: "It would fit from mon 2026-11-30 08:00 Europe/Berlin; ask then, or now with --at.",
  });
});

test("a condition that fails does not hand over to a wider policy", () => {
  const narrow = { ...policy, when: 'database.labels.tier == "gold"' };
  const wide = { ...policy, name: "wide", maxDurationMs: 600 * minute };
  expect(new Policies([narrow, wide]).evaluate(asked)).toMatchObject({
    outcome: "condition_failed",
    policy: { name: "prod-write" },
  });
});
