import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Policy, PolicyApproval, Privileges, ProfileConfig } from "../../../config/config.ts";
import { Policies } from "../../policy.ts";
import { type AnalysedDatabase, underminedPolicies } from "./alone.ts";

const minute = 60_000;
const hour = 60 * minute;

function database(name: string, host = name): AnalysedDatabase {
  const profiles = (["read-only", "read-write", "admin"] as const).map((each) => profile(each));
  return {
    name,
    host,
    port: 5432,
    database: "orders",
    labels: {},
    profiles: new Map(profiles.map((each) => [each.name, each])),
  };
}

function profile(privileges: Privileges, name: string = privileges): ProfileConfig {
  const rest = { description: "", allowPrivileges: [], leftovers: "keep" } as const;
  return { name, privileges, group: name, schemas: ["app"], ...rest };
}

function approvals(count: number): PolicyApproval {
  return count === 0 ? { kind: "automatic" } : { kind: "approvals", count, groups: ["leads"] };
}

function policy(name: string, needed: number, fields: Partial<Policy> = {}): Policy {
  return {
    name,
    who: { groups: ["dev"], people: [], services: [] },
    databases: ["*"],
    profiles: ["*"],
    maxDurationMs: hour,
    approval: approvals(needed),
    requestLifetimeMs: hour,
    reasonRequired: false,
    drainMs: 0,
    ...fields,
  };
}

const prod = [database("prod")];

/** `policy (severity): message`. */
function found(policies: readonly Policy[], databases = prod): string[] {
  return underminedPolicies(policies, databases).map(
    ({ policy: name, severity, message }) => `${name} (${severity}): ${message}`,
  );
}

describe("a policy that wants people to agree is undermined", () => {
  test("by one that gives a wider profile with fewer of them", () => {
    const careful = policy("careful", 2, { profiles: ["read-write"] });
    const admin = policy("admin", 1, { profiles: ["admin"] });
    expect(found([careful, admin])).toEqual([
      "careful (warning): wants 2 to agree, and admin gives as much or more with one person's consent: a member of dev, who may ask for read-write on prod, gets admin on prod.",
    ]);
    expect(found([careful, policy("admin", 0, { profiles: ["admin"] })])).toEqual([
      expect.stringContaining("admin gives as much or more with nobody's consent"),
    ]);
  });

  test("by one that gives the same database under another name", () => {
    const careful = policy("careful", 1, { databases: ["prod"] });
    const other = policy("other", 0, { databases: ["copy"] });
    expect(found([careful, other], [database("prod", "db"), database("copy", "db")])).toEqual([
      expect.stringMatching(/^careful \(warning\): .* gets read-only on copy\.$/),
    ]);
    expect(found([careful, other], [database("prod"), database("copy")])).toEqual([]);
  });

  test("by one that a condition lets decide instead, with a request that shows it", () => {
    const short = policy("short", 1, { when: "minutes <= 15 && !device.confirmed" });
    const careful = policy("careful", 2);
    expect(found([short, careful])).toEqual([
      expect.stringMatching(
        /^careful \(hint\): wants 2 to agree, and short gives the same with one person's consent where a condition lets it: a member of dev gets read-only on prod, asked for \d+m .*from a new device, from 2026-/,
      ),
    ]);
    expect(
      found([policy("careful", 2, { when: 'reason.startsWith("INC-")' }), policy("rest", 0)]),
    ).toEqual([
      expect.stringMatching(/^careful \(hint\): .* rest gives the same with nobody's consent/),
    ]);
  });

  test("by its own extension, where that is longer than the policy itself", () => {
    const extend = { times: 10, byMs: hour, approval: approvals(0) };
    expect(found([policy("careful", 2, { extend })])).toEqual([
      "careful (warning): wants 2 to agree to 1h at the most, and extends by 10h in all with nobody's consent.",
    ]);
    expect(found([policy("careful", 2, { extend: { ...extend, times: 1 } })])).toEqual([]);
    expect(
      found([policy("careful", 2, { extend: { ...extend, approval: approvals(2) } })]),
    ).toEqual([]);
  });

  test("by break-glass that its own people review", () => {
    const breakGlass = { reviewGroups: ["dev"], withinMs: hour };
    expect(found([policy("emergency", 0, { breakGlass })])).toEqual([
      "emergency (hint): lets members of dev in by --break-glass, and nobody else reviews it.",
    ]);
    const reviewed = { ...breakGlass, reviewGroups: ["dev", "security"] };
    expect(found([policy("emergency", 0, { breakGlass: reviewed }), policy("careful", 2)])).toEqual(
      [],
    );
  });
});

describe("a policy is not undermined", () => {
  const careful = policy("careful", 2, { profiles: ["read-write"] });
  const dba = { groups: ["dba"], people: [], services: [] };
  test.each<[string, Policy[]]>([
    ["by one for a narrower profile", [careful, policy("read", 0, { profiles: ["read-only"] })]],
    ["by one for other people", [careful, policy("dba", 0, { who: dba })]],
    ["by one that wants as many", [careful, policy("admin", 2, { profiles: ["admin"] })]],
    [
      "by one that it keeps from deciding",
      [careful, policy("late", 0, { profiles: ["read-write"] })],
    ],
    [
      "where a condition lets short requests pass that otherwise want one person",
      [policy("short", 0, { when: "minutes <= 15" }), policy("long", 1)],
    ],
    [
      "by its own people, who also approve",
      [policy("peers", 2, { approval: { kind: "approvals", count: 2, groups: ["dev"] } })],
    ],
  ])("%s", (_title, policies) => {
    expect(found(policies)).toEqual([]);
  });
});

const generated = fc
  .array(
    fc.record(
      {
        needed: fc.nat(3),
        group: fc.constantFrom("dev", "dba"),
        profiles: fc.constantFrom(["*"], ["read-*"], ["read-write"], ["admin"]),
        databases: fc.constantFrom(["*"], ["prod"], ["copy", "test"]),
        when: fc.constantFrom(
          "minutes > 60",
          'reason != ""',
          "device.confirmed",
          "start.getHours() < 12",
        ),
      },
      { requiredKeys: ["needed", "group", "profiles", "databases"] },
    ),
    { maxLength: 5 },
  )
  .map((list) =>
    list.map(({ needed, group, ...fields }, index) =>
      policy(`rule-${index}`, needed, {
        ...fields,
        who: { groups: [group], people: [], services: [] },
      }),
    ),
  );

const databases = [database("prod", "db"), database("copy", "db"), database("test")];
const wide = ["read-only", "read-write", "admin"];

/** Who decides, read from the top as an administrator would; for requests without conditions. */
function naiveDecider(
  rules: readonly Policy[],
  group: string,
  name: string,
  wanted: string,
): Policy | undefined {
  return rules.find(
    (rule) =>
      rule.who.groups.includes(group) &&
      (rule.databases[0] === "*" || rule.databases.includes(name)) &&
      (rule.profiles[0] === "*" ||
        rule.profiles[0] === wanted ||
        (rule.profiles[0] === "read-*" && wanted !== "admin")),
  );
}

function naiveNeeds({ approval }: Policy): number {
  return approval.kind === "approvals" ? approval.count : 0;
}

const asked = ["prod", "copy", "test"].flatMap((name) => wide.map((each) => [name, each] as const));
const twice = asked.flatMap((one) => asked.map((other) => [one, other] as const));

/** Every pair of policies of which the second undermines the first, request by request. */
function naivePairs(rules: readonly Policy[]): Set<string> {
  const pairs = ["dev", "dba"].flatMap((group) =>
    twice.flatMap(([[name, one], [otherName, other]]) => {
      const guarded = naiveDecider(rules, group, name, one);
      const way = naiveDecider(rules, group, otherName, other);
      const isSame = (name === "test") === (otherName === "test");
      if (
        !guarded ||
        !way ||
        guarded === way ||
        !isSame ||
        wide.indexOf(other) < wide.indexOf(one)
      ) {
        return [];
      }
      const [needs, gets] = [naiveNeeds(guarded), naiveNeeds(way)];
      return gets < needs && gets < 2 ? [`${guarded.name} ${way.name}`] : [];
    }),
  );
  return new Set(pairs);
}

test("without conditions, exactly the pairs are found that a naive evaluator finds", () => {
  let some = 0;
  fc.assert(
    fc.property(generated, (rules) => {
      const plain = rules.map(({ when: _, ...rule }) => rule);
      const findings = underminedPolicies(plain, databases);
      const pairs = findings.map(({ examples }) =>
        examples.map(({ decidedBy }) => decidedBy).join(" "),
      );
      expect(findings.every(({ severity }) => severity === "warning")).toBe(true);
      some += pairs.length;
      expect(new Set(pairs)).toEqual(naivePairs(plain));
      expect(pairs).toHaveLength(new Set(pairs).size);
    }),
    { numRuns: 300, seed: 11 },
  );
  expect(some).toBeGreaterThan(100);
}, 60_000);

test("with conditions, each request that is shown is decided by the policy that is named", () => {
  let hints = 0;
  fc.assert(
    fc.property(generated, (rules) => {
      const engine = new Policies(rules);
      for (const { severity, examples } of underminedPolicies(rules, databases)) {
        hints += severity === "hint" ? 1 : 0;
        for (const { question, decidedBy } of examples) {
          const answer = engine.evaluate(question);
          expect("policy" in answer && answer.policy.name).toBe(decidedBy);
        }
      }
    }),
    { numRuns: 40, seed: 12 },
  );
  expect(hints).toBeGreaterThan(10);
}, 60_000);

test("hundreds of policies on hundreds of databases are looked at in seconds", () => {
  const many = Array.from({ length: 200 }, (_, index) => database(`db-${index}`));
  const rules = Array.from({ length: 100 }, (_, index) =>
    policy(`rule-${index}`, index % 3, {
      databases: [`db-${index}*`],
      who: { groups: [`team-${index % 20}`], people: [], services: [] },
      ...(index % 2 === 0 && { when: `minutes < ${index + 10}` }),
    }),
  );
  const before = process.threadCpuUsage();
  underminedPolicies(rules, many);
  const { user, system } = process.threadCpuUsage(before);
  expect((user + system) / 1e6).toBeLessThan(10);
}, 30_000);
