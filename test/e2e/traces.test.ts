// What a grant leaves behind, from the statement that makes it to the signature of somebody else (invariant 33).

import type { GrantView } from "@jitdb/shared/api/access";
import type { GrantDetail } from "@jitdb/shared/api/traces";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { Company } from "./company.ts";

let company: Company;
beforeAll(async () => {
  company = await Company.found();
});
afterAll(() => company?.close());

test("is listed with its maker and statement when the grant has ended, until somebody else signs it (invariant 33)", async () => {
  const { alice, bob } = company;
  const id = await company.grant("10m");
  await alice.expect(["sql", "prod-orders", "-c", "SELECT lo_from_bytea(0, 'left behind')"]);
  await alice.expect(["revoke", id]);
  const open = async () => {
    const printed = await bob.expect(["grants", "--open-traces", "--json"]);
    return (JSON.parse(printed) as { grants: GrantView[] }).grants;
  };
  await eventually("it is compared", async () => (await open()).length > 0);
  expect(await open()).toMatchObject([{ id, user: "gone", traces: "open" }]);

  const detail: GrantDetail = JSON.parse(await bob.expect(["grants", "show", id, "--json"]));
  expect(detail.comparison).toMatchObject({ gaps: [], canSign: true });
  expect(detail.comparison.traces).toMatchObject([
    {
      change: "new",
      kind: "large object",
      owner: "jitdb_keeper",
      maker: {
        certainty: "owner",
        grant: id,
        person: "alice",
        text: expect.stringMatching(/left/),
      },
    },
  ]);
  const statement = detail.comparison.traces[0]?.maker.statement ?? "";
  const journal = await company.journal();
  expect(journal.of("statement.intent").map((intent) => intent.statement)).toContain(statement);
  expect(await bob.expect(["grants", "show", id])).toContain(`statement ${statement}`);

  const refused = await alice.run(["grants", "sign", id]);
  expect(refused).toMatchObject({ exitCode: 4, stderr: expect.stringMatching(/is your own/) });
  await bob.expect(["grants", "sign", id, "--comment", "harmless"]);
  expect(await company.grantView(id)).toMatchObject({ traces: "signed" });
  const again = await bob.run(["grants", "sign", id]);
  expect(again).toMatchObject({ exitCode: 10, stderr: expect.stringMatching(/was signed by bob/) });

  const records = await company.journal();
  expect(records.of("traces.found")).toMatchObject([{ grant: id, person: "alice", traces: 1 }]);
  expect(records.of("traces.signed")).toMatchObject([
    { grant: id, by: "bob", digest: detail.comparison.digest, comment: "harmless" },
  ]);
});

test("is nothing after a grant that made nothing, and nothing is to be signed then (invariant 33)", async () => {
  const id = await company.grant("10m", "read-only");
  await company.alice.expect(["sql", "prod-orders", "-c", "SELECT count(*) FROM app.customers"]);
  await company.alice.expect(["revoke", id]);
  await eventually("it is compared", async () => {
    const { traces } = await company.grantView(id);
    return traces === "none";
  });
  const { exitCode, stderr } = await company.bob.run(["grants", "sign", id]);
  expect([exitCode, stderr]).toEqual([10, expect.stringMatching(/nothing to sign/)]);
});
