import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { toPolicy } from "../../config/policies.ts";
import { policySchema } from "../../config/schema.ts";
import { Policies } from "../policy.ts";
import { explain } from "./explain.ts";

test("the README's policies give the five answers that stand behind them", () => {
  const readme = readFileSync(new URL("../../../../../README.md", import.meta.url), "utf8");
  const [, yaml = "", , answers = ""] =
    /```yaml\n(policies:\n[^`]*)```\n([^`]*)```console\n\$ jitdb-server policy explain [^\n]*\n([^`]*)```/.exec(
      readme,
    ) ?? [];
  const { policies } = parse(yaml);
  const rules = policies.map((input: unknown) => toPolicy(policySchema.parse(input)));
  const question = {
    person: "alice",
    groups: ["developers"],
    database: { name: "prod-orders", labels: {}, profiles: ["read-only", "read-write"] },
    profile: "read-write",
    durationMs: 7_200_000,
    reason: "INC-7",
    start: Date.parse("2026-11-24T10:00:00Z"),
    deviceConfirmed: true,
  };
  expect(yaml.trim().split("\n")).toHaveLength(10);
  expect(`${explain(new Policies(rules), question).join("\n")}\n`).toBe(answers);
  const night = { ...question, start: Date.parse("2026-11-24T22:00:00Z") };
  expect(explain(new Policies(rules), night)[0]).toMatch(/^Refused: The policy prod-day /);
});

test("tells the time that nobody said, and decides by service, device and what was had of late", () => {
  const rules = parse(`
- name: jobs
  who: { services: [nightly] }
  profiles: [read-only]
  maxDuration: 1h
  defaultDuration: 10m
  when: service == "nightly" && device.id == "ci" && recent.here.day.grants < 2
  approval: automatic
`).map((input: unknown) => toPolicy(policySchema.parse(input)));
  const question = {
    person: "nightly",
    service: true,
    groups: [],
    database: { name: "prod-orders", labels: {}, profiles: ["read-only"] },
    profile: "read-only",
    durationMs: undefined,
    reason: "",
    start: Date.parse("2026-11-24T10:00:00Z"),
    deviceConfirmed: true,
    deviceId: "ci",
  };
  const engine = new Policies(rules);
  expect(explain(engine, question).slice(0, 2)).toEqual([
    "Who: nightly may ask for read-only on prod-orders, by the policy jobs.",
    "How long: 1h at the most, and 10m without --for.",
  ]);
  const use = { grants: 2, minutes: 20 };
  const spans = { day: use, week: use };
  for (const other of [
    { service: false },
    { deviceId: "laptop" },
    { recent: { here: spans, anywhere: spans } },
  ]) {
    expect(explain(engine, { ...question, ...other })[0]).toMatch(/^Refused: No policy lets you /);
  }
});
