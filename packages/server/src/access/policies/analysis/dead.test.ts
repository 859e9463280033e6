import { describe, expect, test } from "vitest";
import type { Policy } from "../../../config/config.ts";
import { unreachedPolicies } from "./dead.ts";

const minute = 60_000;

function policy(name: string, fields: Partial<Policy> = {}): Policy {
  return {
    name,
    who: { groups: ["dev"], people: [], services: [] },
    databases: ["*"],
    profiles: ["*"],
    maxDurationMs: 60 * minute,
    approval: { kind: "automatic" },
    requestLifetimeMs: minute,
    reasonRequired: false,
    drainMs: 0,
    ...fields,
  };
}

const targets = [{ name: "prod", labels: { tier: "gold" }, profiles: ["read-only"] }];

function found(...policies: Policy[]): string[] {
  return unreachedPolicies(policies, targets).map(
    ({ policy: name, severity, message }) => `${name} (${severity}): ${message}`,
  );
}

describe("the hint that nothing reached a policy", () => {
  test.each([
    ["a condition that contradicts itself", 'profile == "read-only" && profile == "admin"'],
    ["one that nobody who may ask can meet", 'service == "nightly"'],
    ["one that only a longer time than the longest would meet", "minutes < 0"],
  ])("is there for %s, and says that it proves nothing", (_title, when) => {
    expect(found(policy("strange", { when }), policy("rest"))).toEqual([
      expect.stringMatching(
        /^strange \(hint\): decided none of \d+ requests that were tried; for some, .*\. That is no proof: /,
      ),
    ]);
  });

  test("says that a condition fails each time, which keeps all behind it from deciding, too", () => {
    const when = 'database.labels.team == "shop"';
    const because = "for some, the condition of strange failed (No such key: team)";
    expect(found(policy("strange", { when }), policy("rest"))).toEqual([
      expect.stringContaining(because),
      expect.stringContaining(because),
    ]);
  });

  test("is there for one behind a condition that always holds", () => {
    expect(found(policy("all", { when: "minutes > 0" }), policy("behind"))).toEqual([
      expect.stringMatching(
        /^behind \(hint\): .* requests that were tried; for some, all decided\./,
      ),
    ]);
  });

  test.each([
    'reason.matches("^INC-[0-9]+$")',
    '"oncall" in groups && person != "bob"',
    'person == "bob"',
    "minutes <= 7 && !device.confirmed",
    'start.getHours("Europe/Berlin") < 7 && start.getDayOfWeek() == 0',
    'start > timestamp("2027-01-01T00:00:00Z")',
    "recent.here.day.grants >= 3 && recent.anywhere.week.minutes < 240",
    'device.id == "thumbprint"',
    'reason.contains("migration") || reason.startsWith("CHG-")',
  ])("is not there for %s", (when) => {
    expect(found(policy("some", { when }), policy("rest"))).toEqual([]);
  });
});

test("a longest time that no window has is told for sure", () => {
  const hours = [{ days: ["mon", "wed"], from: "08:00", to: "12:00", zone: "UTC" }] as const;
  expect(found(policy("short", { hours, maxDurationMs: 241 * minute }))).toEqual([
    "short (warning): never gives its maxDuration: none of its hours is that long.",
  ]);
  expect(found(policy("short", { hours, maxDurationMs: 240 * minute }))).toEqual([]);
});
