// A soft end from policy to database: the transaction that runs then finishes through the agent, nothing else begins.

import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, instant } from "../support/eventually.ts";
import { Company, type Door } from "./company.ts";

const policies = `
  - name: developers
    who: { groups: [developers] }
    databases: ["prod-*"]
    profiles: [read-write]
    maxDuration: 1h
    approval: automatic
    end: { drain: 30s }
`;

let company: Company;
let door: Door;
/** Errors that sessions ended with. */
const ends: Record<string, unknown> = {};
const warnings: (string | undefined)[] = [];

/** Two sessions, one at rest and one in a transaction; over when the latter has committed behind the end. */
beforeAll(async () => {
  company = await Company.found({ policies });
  door = await company.open(`${company.seconds(10)}s`);
  const [working, resting] = [await door.client(), await door.client()];
  for (const [name, client] of Object.entries({ working, resting })) {
    client.on("error", (error) => {
      ends[name] ??= error;
    });
  }
  working.on("notice", ({ message }) => warnings.push(message));
  await working.query("BEGIN");
  await working.query("INSERT INTO app.customers (name, city) VALUES ('first', 'here')");
  await instant(door.endsAt);
  await eventually("the one at rest has ended", () => ends["resting"]);
  await eventually(
    "logins are stopped",
    async () => (await company.journal()).of("user.draining").length > 0,
  );
  expect(await company.grantView(door.ready.grant)).toMatchObject({
    state: "ended",
    end: "expired",
    user: "ending",
    openSessions: 1,
    drainingUntil: new Date(door.endsAt + 30_000).toISOString(),
  });
  expect(await company.alice.expect(["grants", "--all"])).toContain("draining");
  await working.query("INSERT INTO app.customers (name, city) VALUES ('second', 'here')");
  await working.query("COMMIT");
  await eventually("the one that worked has ended", () => ends["working"]);
});
afterAll(() => company?.close());

test("the transaction is there as a whole", async () => {
  const rows = await company.installation.asSuperuser(
    "SELECT name FROM app.customers WHERE city = 'here' ORDER BY 1",
  );
  expect(rows).toEqual([{ name: "first" }, { name: "second" }]);
});

test("both sessions ended with the database's own word for it, one after a warning", () => {
  const over = { code: "57P01", message: "The time for prod-orders is over." };
  expect(ends).toMatchObject({ resting: over, working: over });
  expect(warnings.at(-1)).toBe(
    "The time for prod-orders is over: no new transaction begins, and this one has 30s to finish.",
  );
});

test("connect ends by itself behind the last session, with 0", async () => {
  const { exitCode, stderr } = await door.child;
  expect(exitCode).toBe(0);
  expect(String(stderr)).toContain("The time for prod-orders is over.");
});

test("the user is gone long before the drain is over, and all of it is on record", async () => {
  await eventually(
    "the user is gone",
    async () => (await company.installation.ephemeralUsers()).length === 0,
  );
  const journal = await eventually("that is on record", async () => {
    const read = await company.journal();
    return read.of("user.dropped").length > 0 && read;
  });
  expect(Date.now()).toBeLessThan(door.endsAt + 30_000);
  expect(journal.of("grant.started")[0]).toMatchObject({ drainMs: 30_000 });
  expect(journal.of("grant.ended")[0]).toMatchObject({
    end: "expired",
    drainingUntil: new Date(door.endsAt + 30_000).toISOString(),
  });
  expect(journal.of("session.draining")).toHaveLength(1);
  expect(journal.of("session.closed").map(({ end }) => end)).toEqual(["expired", "drained"]);
  expect(journal.of("user.locked")[0]).toMatchObject({ latenessMs: 0 });
});
