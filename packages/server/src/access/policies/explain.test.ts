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
