import { describe, expect, test } from "vitest";
import { type Condition, type ConditionFacts, compileCondition } from "./condition.ts";
import { maxRuleMs } from "./time-bound.ts";

const facts: ConditionFacts = {
  person: "alice",
  groups: ["oncall"],
  service: "",
  device: { id: "thumbprint", confirmed: true },
  database: { name: "prod-orders", labels: { tier: "gold" } },
  profile: "read-write",
  minutes: 30,
  reason: "INC-7: stuck orders",
  start: Date.parse("2026-11-24T21:30:00Z"),
  recent: {
    here: { day: { grants: 1, minutes: 30 }, week: { grants: 3, minutes: 200 } },
    anywhere: { day: { grants: 2, minutes: 60 }, week: { grants: 9, minutes: 900 } },
  },
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
    ['service == "" && device.id == "thumbprint"', true],
    ["recent.here.day.grants == 1 && recent.here.day.minutes <= 30", true],
    ["recent.here.week.grants + recent.anywhere.day.grants == 5", true],
    ["recent.anywhere.week.minutes < 900", false],
    ['groups.exists(g, ["oncall", "dba"].exists(wanted, wanted == g))', true],
    ["database.labels.all(label, groups.all(g, label != g))", true],
  ])("%s is %s", (text, holds) => {
    expect(compiled(text)(facts)).toEqual({ holds });
  });

  test.each([
    ["device.confirmd", "No such key: confirmd", 7],
    ["minutes == '5'", "no such overload: int == string", 0],
    ["reason", "is a string, where true or false is wanted", 0],
    ["true && nobody", "Unknown variable: nobody", 8],
    ["1 +", "Unexpected token: EOF", 3],
    ["true && recent.here.month.grants < 3", "No such key: month", 20],
    ['recent.here.day.grants < "3"', "no such overload: int < string", 0],
    [
      'service in ["a", 1]',
      "List elements must have the same type, expected type 'string' but found 'int'",
      17,
    ],
  ])("%s does not compile, and says where", (text, problem, offset) => {
    expect(compileCondition(text)).toEqual({ ok: false, problem, offset });
  });

  test("fails, and is not false, where it asks for a label that is not there", () => {
    expect(compiled('database.labels["team"] != "x"')(facts)).toEqual({
      failure: "No such key: team",
    });
  });

  const list = (length: number) => `[${Array.from({ length }, (_, i) => i).join(",")}]`;

  test.each([
    ["L.all(a, L.all(b, a + b >= 0))", list(480)],
    ["true && L.all(a, L.all(b, L.all(c, a + b + c >= 0)))", list(150)],
    ["L.map(a, L.filter(b, a < b)).size() > 3", list(400)],
    ["(L + L).exists(a, (true ? L : L).exists_one(b, b == a))", list(180)],
    ["L.exists(a, groups.all(g, reason.split(g).all(w, w != string(a))))", list(10)],
  ])("that can loop over a million elements does not compile: %s", (text, many) => {
    const result = compileCondition(text.replaceAll("L", many));
    expect(result).toMatchObject({
      ok: false,
      problem: expect.stringMatching(/^can take \d+ steps, and 100000 are the most/),
      offset: text.startsWith("true") ? 8 : text.startsWith("(") ? 1 : 0,
    });
  });

  test("that takes as many steps as it may is done long before the watchdog bites", () => {
    const condition = compiled("L.all(a, L.all(b, a + b >= 0))".replaceAll("L", list(100)));
    const before = process.threadCpuUsage();
    expect(condition(facts)).toEqual({ holds: true });
    const { user, system } = process.threadCpuUsage(before);
    expect((user + system) / 1000).toBeLessThan(maxRuleMs / 2);
  });

  test("ends with a failure when a pattern never comes back", () => {
    const reason = `${"a".repeat(40)}b`;
    expect(compiled('reason.matches("^(a+)+$")')({ ...facts, reason })).toEqual({
      failure: `took more than ${maxRuleMs} ms`,
    });
  });
});
