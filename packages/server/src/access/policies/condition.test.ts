import { describe, expect, test } from "vitest";
import { type Condition, type ConditionFacts, compileCondition } from "./condition.ts";
import { maxRuleMs } from "./time-bound.ts";

const facts: ConditionFacts = {
  person: "alice",
  groups: ["oncall"],
  device: { confirmed: true },
  database: { name: "prod-orders", labels: { tier: "gold" } },
  profile: "read-write",
  minutes: 30,
  reason: "INC-7: stuck orders",
  start: Date.parse("2026-11-24T21:30:00Z"),
};

function compiled(text: string): Condition {
  const result = compileCondition(text);
  if (!result.ok) {
    throw new Error(result.problem);
  }
  return result.condition;
}

describe("a condition", () => {
  test.each([
    ['reason.matches("^INC-") && device.confirmed', true],
    ['"oncall" in groups && person != "bob"', true],
    ['database.labels.tier == "gold" && database.name.startsWith("prod-")', true],
    ["minutes <= 15", false],
    ['start.getHours("Europe/Berlin") == 22', true],
    ['profile == "read-only"', false],
  ])("%s is %s", (text, holds) => {
    expect(compiled(text)(facts)).toEqual({ holds });
  });

  test.each([
    ["device.confirmd", "No such key: confirmd", 7],
    ["minutes == '5'", "no such overload: int == string", 0],
    ["reason", "is a string, where true or false is wanted", 0],
    ["true && nobody", "Unknown variable: nobody", 8],
    ["1 +", "Unexpected token: EOF", 3],
  ])("%s does not compile, and says where", (text, problem, offset) => {
    expect(compileCondition(text)).toEqual({ ok: false, problem, offset });
  });

  test("fails, and is not false, where it asks for a label that is not there", () => {
    expect(compiled('database.labels["team"] != "x"')(facts)).toEqual({
      failure: "No such key: team",
    });
  });

  test("ends with a failure when it loops over a million elements", () => {
    const million = `L.all(a, L.all(b, L.all(c, a + b + c >= 0)))`.replaceAll(
      "L",
      `[${Array.from({ length: 300 }, (_, i) => i).join(",")}]`,
    );
    expect(compiled(million)(facts)).toEqual({ failure: `took more than ${maxRuleMs} ms` });
  });

  test("ends with a failure when a pattern never comes back", () => {
    const reason = `${"a".repeat(40)}b`;
    expect(compiled('reason.matches("^(a+)+$")')({ ...facts, reason })).toEqual({
      failure: `took more than ${maxRuleMs} ms`,
    });
  });
});
