import { describe, expect, test } from "vitest";
import { openStage, stageColumns, stagesOf, stagesOfRule } from "./stages.ts";

const stages = [
  { name: "lead", count: 1, groups: ["leads"] },
  { count: 2, groups: ["dba", "leads"] },
];

describe("the stages of a request", () => {
  test("are kept as the rule has them, with every group that may see the request", () => {
    const columns = stageColumns(stagesOfRule({ kind: "stages", stages }));
    expect(columns).toMatchObject({ approvals_needed: 3, approver_groups: '["leads","dba"]' });
    expect(stagesOf(columns)).toEqual(stages);
  });

  test("are one for a rule that counts approvals, and none for an automatic one", () => {
    const counted = stagesOfRule({ kind: "approvals", count: 2, groups: ["dba"] });
    expect(stageColumns(counted).stages).toBeNull();
    expect(stagesOf(stageColumns(counted))).toEqual([{ count: 2, groups: ["dba"] }]);
    expect(stagesOf(stageColumns(stagesOfRule({ kind: "automatic" })))).toEqual([]);
  });

  test.each([
    [[], 0, 1],
    [[0], 1, 2],
    [[0, 1], 1, 1],
    // What was given for a later stage never opens an earlier one.
    [[1, 1], 0, 1],
    [[0, 1, 1], undefined, undefined],
  ])("with the approvals %j are open at %s", (given, index, missing) => {
    const open = openStage(stages, given);
    expect([open?.index, open?.missing]).toEqual([index, missing]);
  });
});
