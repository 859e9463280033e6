// `tests:` in jitdb.yaml, from the file to what `jitdb-server check` prints. The example is the one of docs/operations.md.

import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { failedCases } from "../access/policies/cases.ts";
import { Policies } from "../access/policy.ts";
import { policyTarget } from "../access/requests/ask.ts";
import { loadConfig } from "./load.ts";

const root = new URL("../../../../", import.meta.url);
const readme = readFileSync(new URL("README.md", root), "utf8");
const [, policies = ""] = /```yaml\n(policies:\n[^`]*)```/.exec(readme) ?? [];

const server = `masterKey: \${file:master.key}
identity: {services: {ci-jobs: {keys: [{kty: OKP, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}]}}}
databases:
  prod-orders:
    host: localhost
    database: orders
    labels: {env: production}
    tls: {mode: disable}
    admin: {password: "\${file:master.key}"}
`;

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "jitdb-cases-"));
  writeFileSync(join(folder, "master.key"), Buffer.alloc(32, 7).toString("base64"));
  chmodSync(join(folder, "master.key"), 0o600);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function load(tests: string, rest = `${server}${policies}`) {
  const file = join(folder, "jitdb.yaml");
  writeFileSync(file, `${tests}\n${rest}`);
  return loadConfig(file, {});
}

function failures(tests: string) {
  const { config, cases, problems } = load(tests);
  expect(problems).toEqual([]);
  const targets = [...(config?.databases.values() ?? [])].map(policyTarget);
  const byName = new Map(targets.map((target) => [target.name, target]));
  return failedCases(cases, new Policies(config?.policies ?? []), byName);
}

/** One case, with the moment by day. */
function one(given: string, expected: string): string {
  return `tests:\n  - given: {profile: read-write, for: 2h, at: "2026-11-24T10:00:00Z", ${given}}\n    expect: {${expected}}`;
}

test("the example of the documentation holds, but for the case that it shows to fail", () => {
  const docs = readFileSync(new URL("docs/operations.md", root), "utf8");
  const [, yaml = "", printed = ""] =
    /```yaml\n(tests:\n[^`]*)```[^`]*```console\n\$ [^\n]*\njitdb\.yaml:\d+:\d+: ([^\n]*)\n/.exec(
      docs,
    ) ?? [];
  expect(failures(yaml)).toEqual([{ line: 5, column: 5, message: printed }]);
});

const alice = "person: alice, groups: [developers], database: prod-orders";

test.each([
  [alice, "outcome: approval, rule: prod-day, approvers: [{groups: [dba]}], maxDuration: 2h"],
  [
    `${alice.replace("database: prod-orders", "labels: {env: production}")}`,
    "outcome: approval, rule: prod-day",
  ],
  [`${alice}, reason: INC-7, breakGlass: true`, "outcome: break-glass, rule: prod-emergency"],
  [`${alice}, reason: INC-7, breakGlass: true, device: new`, "outcome: refused"],
  ["service: ci-jobs, database: prod-orders", "outcome: refused"],
])("given %s, expected %s: it holds", (given, expected) => {
  expect(failures(one(given, expected))).toEqual([]);
});

test.each([
  ["outcome: approval, rule: prod-emergency", "expected the rule prod-emergency; came"],
  ["outcome: automatic", "expected automatic; came"],
  [
    "outcome: approval, approvers: [{count: 2, groups: [dba]}]",
    "expected approval by 2 of dba; came",
  ],
  ["outcome: approval, maxDuration: 3h", "expected 3h at the most; came"],
])("a case that expects %s fails, and says what came instead", (expected, message) => {
  const came = "approval (1 of dba) by the rule prod-day, 2h at the most.";
  expect(failures(one(alice, expected))).toEqual([
    { line: 2, column: 5, message: `tests[0], prod-orders: ${message} ${came}` },
  ]);
});

test.each([
  [alice, "outcome: approved", "approved", "must be one of"],
  [alice, "outcome: approval, rule: prod-dya", "prod-dya", 'there is no rule "prod-dya"'],
  [
    "person: alice, groups: [developers], database: prod-order",
    "outcome: refused",
    "prod-order}",
    'there is no database "prod-order"',
  ],
  ["service: ci-jobb, database: prod-orders", "outcome: refused", "ci-jobb", "no service"],
  [
    "person: alice, groups: [develpers], database: prod-orders",
    "outcome: refused",
    "develpers",
    "no group",
  ],
  [
    "person: alice, labels: {env: producton}",
    "outcome: refused",
    "{env",
    "no database has these labels",
  ],
  [
    "service: ci-jobs, groups: [developers], database: prod-orders",
    "outcome: refused",
    "[developers]",
    "services are in no groups",
  ],
])("given %s, expected %s: the slip has its line and column", (given, expected, word, message) => {
  const tests = one(given, expected);
  const lines = tests.split("\n");
  const line = lines.findIndex((text) => text.includes(word));
  const { problems } = load(tests);
  expect(problems).toMatchObject([
    { line: line + 1, column: (lines[line]?.indexOf(word) ?? 0) + 1 },
  ]);
  expect(problems[0]?.message).toContain(message);
});

test("cases know services, the policy's own time, and what somebody had of late", () => {
  const rules = `${server}policies:
  - name: jobs
    who: {services: [ci-jobs]}
    profiles: [read-write]
    maxDuration: 1h
    defaultDuration: 10m
    when: recent.here.week.grants < 3 && recent.anywhere.day.minutes <= 60 && device.id != "stolen"
    approval: automatic
`;
  const given = "service: ci-jobs, database: prod-orders, profile: read-write";
  const cases = [
    ["", "automatic, rule: jobs"],
    [", recent: {here: {day: {grants: 3}}}", "refused"],
    [", recent: {here: {week: {grants: 2}}}", "automatic"],
    [", recent: {anywhere: {day: {minutes: 61}}}", "refused"],
    [", deviceId: stolen", "refused"],
    [", for: 61m", "refused"],
  ].map(([more, outcome]) => `  - {given: {${given}${more}}, expect: {outcome: ${outcome}}}`);
  const { config, cases: read, problems } = load(`tests:\n${cases.join("\n")}`, rules);
  expect(problems).toEqual([]);
  const targets = [...(config?.databases.values() ?? [])].map(policyTarget);
  const byName = new Map(targets.map((target) => [target.name, target]));
  expect(failedCases(read, new Policies(config?.policies ?? []), byName)).toEqual([]);
});

test("a case has to say when, where a policy has hours", () => {
  const tests = `tests:\n  - given: {${alice}, profile: read-write, for: 1h}\n    expect: {outcome: refused}`;
  expect(load(tests).problems).toMatchObject([
    { line: 2, message: expect.stringContaining("at is missing") },
  ]);
});
