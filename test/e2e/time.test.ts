// A grant's time against a real database: it begins later, gets more while a session is open, is given back; and break-glass.

import type { GrantView, RequestView } from "@jitdb/shared/api/access";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, instant } from "../support/eventually.ts";
import { Company, type Door } from "./company.ts";

const policies = `
  - name: developers
    who: { groups: [developers] }
    databases: ["prod-*"]
    profiles: [read-only, read-write]
    maxDuration: 1h
    approval: automatic
    extend: { times: 1, by: 30m }
  - name: emergency
    who: { groups: [developers] }
    databases: ["prod-*"]
    profiles: [read-write]
    maxDuration: 1h
    approval: automatic
    breakGlass: { review: { groups: [admins], within: 24h } }
`;

let company: Company;

beforeAll(async () => {
  company = await Company.found({ policies });
});
afterAll(() => company?.close());

const usersNow = async () => (await company.installation.ephemeralUsers()).length;

const gone = () => eventually("the user is gone", async () => (await usersNow()) === 0);

async function live(): Promise<GrantView | undefined> {
  const { grants }: { grants: GrantView[] } = JSON.parse(
    await company.alice.expect(["grants", "--json"]),
  );
  return grants[0];
}

test("the user of a grant that begins later is made at its start, and only then is there a way in", async () => {
  const aheadMs = company.seconds(6) * 1000;
  const startsAt = new Date(Math.ceil(Date.now() / 1000) * 1000 + aheadMs).toISOString();
  const at = startsAt.replace(".000", "");
  const argv = ["request", "prod-orders", "--for", "10m", "--profile", "read-only", "--at", at];
  await company.alice.expect([...argv, "--no-wait"]);
  const early = await company.alice.run(["connect", "prod-orders", "--json", "--port", "0"]);
  expect(early).toMatchObject({
    exitCode: 10,
    stderr: expect.stringContaining("grant.not_started"),
  });
  expect(await live()).toMatchObject({ startsAt, state: "active", user: "preparing" });
  expect(await usersNow()).toBe(0);
  await instant(Date.parse(startsAt));
  await eventually("the user is there", async () => (await usersNow()) === 1);
  expect((await live())?.endsAt).toBe(new Date(Date.parse(startsAt) + 600_000).toISOString());
  const door = await company.connect();
  const client = await door.client();
  expect((await client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  await client.end();
  await company.alice.expect(["release", "prod-orders"]);
  await gone();
});

test("an open session outlives the end that was moved, and a second time is refused by the rule's name", async () => {
  const door: Door = await company.open(`${company.seconds(10)}s`);
  const client = await door.client();
  await company.alice.expect(["extend", "prod-orders", "--by", "5m"]);
  const again = await company.alice.run(["extend", "prod-orders", "--by", "5m"]);
  expect(again.exitCode).toBe(4);
  expect(again.stderr).toContain("The policy developers extends a grant once, and this one was.");
  await instant(door.endsAt + 500);
  // The same session, and a new one, which the database itself has to let in.
  expect((await client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  const second = await door.client();
  expect((await second.query("SELECT 2 AS two")).rows).toEqual([{ two: 2 }]);
  const rows = await company.installation.asSuperuser<{ later: boolean }>(
    "SELECT rolvaliduntil > now() AS later FROM pg_roles WHERE rolname LIKE 'jit\\_%'",
  );
  expect(rows).toEqual([{ later: true }]);
  // Given back: both end now, and the user goes.
  const ends: unknown[] = [];
  client.on("error", (error) => ends.push(error));
  second.on("error", (error) => ends.push(error));
  await company.alice.expect(["release"]);
  await eventually("both sessions have ended", () => ends.length >= 2);
  await gone();
  const journal = await company.journal();
  expect(journal.of("grant.extended")).toMatchObject([
    { policy: "developers", durationMs: 300_000 },
  ]);
});

test("break-glass opens at once and stays open for review until somebody else signs", async () => {
  const argv = ["request", "prod-orders", "--for", "10m", "--profile", "read-write"];
  await company.installation.serverCommand([
    ...["users", "groups", "alice", "developers"],
    ...["--through", "bob"],
  ]);
  const silent = await company.alice.run([...argv, "--break-glass"]);
  expect(silent.stderr).toContain(
    "The policy emergency wants a reason for read-write on prod-orders.",
  );
  const printed = await company.alice.expect([
    ...argv,
    "--break-glass",
    "--reason",
    "INC-7 orders are stuck",
    "--json",
  ]);
  const { grantId, policy, breakGlass }: RequestView = JSON.parse(printed);
  expect({ policy, breakGlass }).toEqual({ policy: "emergency", breakGlass: true });
  await eventually("the user is there", async () => (await usersNow()) === 1);
  await company.alice.expect(["release"]);
  await gone();
  const id = grantId ?? "";
  expect(await company.bob.expect(["review", "list"])).toContain(id);
  expect((await company.alice.run(["review", "sign", id])).exitCode).toBe(4);
  await company.bob.expect(["review", "sign", id, "--comment", "INC-7 was real"]);
  expect(await company.bob.expect(["review", "list"])).toBe("");
  const journal = await eventually("that is on record", async () => {
    const read = await company.journal();
    return read.of("review.signed").length > 0 && read;
  });
  expect(journal.of("review.signed")).toMatchObject([{ by: "bob", comment: "INC-7 was real" }]);
});
