// The identity section: the example of docs/operations.md is one, and what would open a door is refused.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Secret } from "@jitdb/shared/secret";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { identitySchema } from "./identity.ts";

const docs = join(import.meta.dirname, "..", "..", "..", "..", "docs", "operations.md");

const company = {
  issuer: "https://login.example.com",
  clientId: "jitdb",
  clientSecret: new Secret("a secret"),
  groups: { DBA: "dba" },
};

test("the example of the documentation is valid, once its secret is read", async () => {
  const text = await readFile(docs, "utf8");
  const [, example = ""] = /^```yaml\n(identity:\n {2}company:\n[^`]*)```/m.exec(text) ?? [];
  const { identity } = parse(example) as { identity: { company: Record<string, unknown> } };
  const { clientSecret } = identity.company;
  expect(clientSecret).toMatch(/^\$\{file:[\w-]+\}$/);
  Object.assign(identity.company, { clientSecret: company.clientSecret });
  expect(identitySchema.parse(identity).company).toMatchObject({ requiredGroup: "Employees" });
});

test.each([
  ["an issuer without TLS", { issuer: "http://login.example.com" }],
  ["a secret in the file", { clientSecret: "a secret" }],
  ["a group that is none here", { groups: { DBA: "D B A" } }],
  ["scopes without openid", { scopes: ["profile"] }],
])("refuses %s", (_what, change) => {
  expect(identitySchema.safeParse({ company: { ...company, ...change } }).success).toBe(false);
});
