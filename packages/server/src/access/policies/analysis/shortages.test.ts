import { expect, test } from "vitest";
import type { Policy, PolicyApproval } from "../../../config/config.ts";
import { type Member, shortages } from "./shortages.ts";

const people: readonly Member[] = [
  { name: "alice", groups: ["dev"] },
  { name: "bob", groups: ["dev", "dba"] },
  { name: "carol", groups: ["leads", "dba"] },
];

function found(approval: PolicyApproval, fields: Partial<Policy> = {}, members = people): string[] {
  const policy: Policy = {
    name: "write",
    who: { groups: ["dev"], people: [], services: [] },
    databases: ["*"],
    profiles: ["*"],
    maxDurationMs: 1,
    approval,
    requestLifetimeMs: 1,
    reasonRequired: false,
    drainMs: 0,
    ...fields,
  };
  return shortages([policy], members).map(({ message }) => message);
}

const of = (count: number, ...groups: string[]): PolicyApproval => ({
  kind: "approvals",
  count,
  groups,
});
const stages = (...each: [number, string][]): PolicyApproval => ({
  kind: "stages",
  stages: each.map(([count, group]) => ({ count, groups: [group] })),
});

const rest = "and nobody approves twice or what they asked themselves.";

test.each<[string, PolicyApproval, string[]]>([
  [
    "a group that nobody has",
    of(1, "security"),
    [`can't be approved for any request: it wants 1 of security (nobody), ${rest}`],
  ],
  [
    "two of a group that has one",
    of(2, "leads"),
    [`can't be approved for any request: it wants 2 of leads (carol), ${rest}`],
  ],
  [
    "somebody's own approval",
    of(2, "dba"),
    [`can't be approved for requests of bob: it wants 2 of dba (bob, carol), ${rest}`],
  ],
  [
    "one person in two stages",
    stages([1, "leads"], [1, "dba"]),
    [
      `can't be approved for requests of bob: it wants 1 of leads (carol), then 1 of dba (bob, carol), ${rest}`,
    ],
  ],
  ["enough people", of(1, "dba"), []],
  ["nobody", { kind: "automatic" }, []],
])("says who is missing where a policy wants %s", (_title, approval, messages) => {
  expect(found(approval)).toEqual(messages);
});

test("says that nobody may ask", () => {
  const who = { groups: ["ops"], people: ["dave"], services: [] };
  expect(found(of(1, "dba"), { who })).toEqual([
    "lets nobody ask: there is no dave, and nobody is in ops.",
  ]);
  expect(found(of(1, "dba"), { who: { ...who, services: ["nightly"] } })).toEqual([]);
});

test("says that nobody reviews, or nobody but who was there", () => {
  const automatic = { kind: "automatic" } as const;
  const breakGlass = (group: string) => ({ breakGlass: { reviewGroups: [group], withinMs: 1 } });
  expect(found(automatic, breakGlass("security"))).toEqual([
    "has no reviewers: nobody is in security.",
  ]);
  const only = [{ name: "bob", groups: ["dev", "dba"] }];
  expect(found(automatic, breakGlass("dba"), only)).toEqual([
    "has no reviewer for what bob does: nobody else is in dba.",
  ]);
  expect(found(automatic, breakGlass("dba"))).toEqual([]);
});
