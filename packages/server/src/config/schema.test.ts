// docs/operations.md has a row for every key of jitdb.yaml.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import * as z from "zod";
import { databaseSchema, policySchema, rootSchema } from "./schema.ts";

const text = readFileSync(
  join(import.meta.dirname, "..", "..", "..", "..", "docs", "operations.md"),
  "utf8",
);

test("every key of jitdb.yaml has its row, and every row is a key", () => {
  const known = [
    ...keysOf(rootSchema, "").filter((key) => key !== "databases" && key !== "policies"),
    ...keysOf(databaseSchema, "databases.<name>"),
    ...keysOf(policySchema, "policies[]"),
  ];
  const [, section = ""] = text.split("\n## jitdb.yaml\n");
  const [table = ""] = section.split("\n## ");
  const rows = Array.from(table.matchAll(/^\| `([^`]+)` \|/gm), ([, key]) => key);
  expect(rows).toEqual(known);
});

test("the examples of policies are policies", () => {
  const examples = Array.from(
    text.matchAll(/^```yaml\n(policies:\n[^`]*)```/gm),
    ([, yaml]) => yaml,
  );
  expect(examples.length).toBeGreaterThan(0);
  for (const example of examples) {
    const { policies } = parse(example ?? "") as { policies: unknown[] };
    expect(policies.map((each) => policySchema.safeParse(each).error)).toEqual(
      policies.map(() => undefined),
    );
  }
});

/** The paths of everything that may be written below a schema. */
function keysOf(schema: z.core.$ZodType, path: string): string[] {
  if (schema instanceof z.ZodObject) {
    const entries: [string, z.core.$ZodType][] = Object.entries(schema.shape);
    return entries.flatMap(([key, child]) => keysOf(child, path === "" ? key : `${path}.${key}`));
  }
  if (schema instanceof z.ZodRecord) {
    const below = keysOf(schema.valueType, `${path}.<name>`);
    return below.length > 1 ? below : [path];
  }
  if (schema instanceof z.ZodUnion) {
    const below = schema.options.flatMap((option) => keysOf(option, path));
    return [...new Set([path, ...below])];
  }
  if (schema instanceof z.ZodPipe) {
    return keysOf(schema.out instanceof z.ZodTransform ? schema.in : schema.out, path);
  }
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault) {
    return keysOf(schema.def.innerType, path);
  }
  return [path];
}
