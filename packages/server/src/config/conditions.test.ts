import { expect, test } from "vitest";
import { compileCondition } from "../access/policies/condition.ts";
import { ConfigDocument } from "./document.ts";

test.each([
  ["when: true && nobody", 15],
  ["when: 'true && nobody'", 16],
  ['when: "true && nobody"', 16],
])("the mistake in %s is reported at its column", (yaml, column) => {
  const compiled = compileCondition("true && nobody");
  if (compiled.ok) {
    throw new Error("It compiled.");
  }
  const document = new ConfigDocument("jitdb.yaml", yaml, { folder: "/", environment: {} });
  document.errorInside(["when"], compiled.offset, `${compiled.problem}.`);
  expect(document.problems).toMatchObject([
    { line: 1, column, message: "when: Unknown variable: nobody." },
  ]);
});
