// The main job with the built programs and two people: login, request, decide, connect, query, gone.

import type { RequestView } from "@jitdb/shared/api/access";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import type { Person } from "../support/person.ts";
import { waitForOutput } from "../support/programs.ts";
import { scriptRunners } from "../support/psql.ts";
import { Company } from "./company.ts";

const policies = `
  - name: in-a-hurry
    who: { groups: [hasty] }
    databases: [prod-orders]
    profiles: [read-write]
    maxDuration: 5m
    approval: { count: 1, groups: [admins] }
    requestLifetime: 1s
  - name: reading
    who: { groups: [developers] }
    databases: ["prod-*"]
    profiles: [read-only]
    maxDuration: 1h
    approval: automatic
  - name: writing
    who: { groups: [developers] }
    databases: [prod-orders]
    profiles: [read-write]
    maxDuration: 30m
    approval: { count: 1, groups: [admins] }
`;

let company: Company;
beforeAll(async () => {
  company = await Company.found({ policies, isAliceConfirmed: false });
});
afterAll(() => company?.close());

/** Starts a request that waits for its decision; resolves when it waits. */
async function ask(person: Person, profile: string, duration = "1m") {
  const args = ["request", "prod-orders", "--profile", profile, "--for", duration];
  const child = company.start(person, [...args, "--reason", "order 17 is stuck"]);
  const [id] = await waitForOutput(child, "stdout", /req_\w+/);
  return { child, id };
}

async function requestView(person: Person, id: string): Promise<RequestView | undefined> {
  const { requests }: { requests: RequestView[] } = JSON.parse(
    await person.expect(["requests", "--json"]),
  );
  return requests.find((request) => request.id === id);
}

describe("access", () => {
  test("is asked for, approved in another terminal, used, and gone when its time is over", async () => {
    const time = `${company.seconds(4)}s`;
    const { child, id } = await ask(company.alice, "read-write", time);
    const { stderr } = await company.bob.run(["approve", id, "--comment", "go ahead"]);
    expect(stderr).toContain(`alice asks for prod-orders (read-write) for ${time}.`);
    expect(stderr).toContain("reason: order 17 is stuck");
    expect(await child).toMatchObject({ exitCode: 0 });
    const door = await company.connect();
    const users = await company.installation.ephemeralUsers();
    expect(users).toEqual([expect.stringMatching(/^jit_[a-z0-9]+_alice_[a-z0-9]{13}$/)]);
    const client = await door.client();
    await client.query("UPDATE app.orders SET status = 'paid' WHERE id = 17");
    expect((await client.query("SELECT current_user::text AS me")).rows).toEqual([
      { me: users[0] },
    ]);
    const { exitCode, stdout, stderr: said } = await door.child;
    expect(String(stdout).split("\n").at(-1)).toBe('{"ended":"expired"}');
    expect(String(said)).toContain("The time for prod-orders is over.");
    expect(exitCode).toBe(0);
    await eventually(
      "the user is gone",
      async () => (await company.installation.ephemeralUsers()).length === 0,
    );
    const late = await company.alice.run(["connect", "prod-orders"]);
    expect(late.exitCode).toBe(9);
    expect(late.stderr).toContain("jitdb request prod-orders --for 30m");
  });

  test.for(scriptRunners)("is used by $name through connect", async (runner, context) => {
    runner.require(context);
    // The approval of the test before vouches for alice's device, so this one is automatic.
    const door = await company.open("1m", "read-only");
    const { rows, error } = await runner.run(door, [
      "SELECT count(*) FROM app.customers",
      "DELETE FROM app.customers",
    ]);
    expect(rows).toEqual(["40"]);
    expect(error).toMatchObject({ sqlstate: "42501" });
    door.child.kill("SIGINT");
    expect(await door.child).toMatchObject({ exitCode: 0 });
    await company.revokeAll();
  });

  test("ends in the middle of a query when an administrator revokes it, and everybody is told why", async () => {
    const door = await company.open("1m", "read-only");
    const client = await door.client();
    const cut = client.query("SELECT pg_sleep(60)").catch((error: unknown) => error);
    await eventually("the query runs", () => company.runs("%pg_sleep%"));
    await company.bob.expect(["revoke", door.ready.grant, "--reason", "wrong database"]);
    expect(await cut).toMatchObject({
      code: "57P01",
      message: expect.stringContaining("wrong database"),
    });
    const { exitCode, stderr } = await door.child;
    expect(exitCode).toBe(8);
    expect(String(stderr)).toMatch(/revoked.*wrong database/s);
    await eventually("its backends are gone", async () => (await company.backends()).length === 0);
    const [ended] = (await company.journal()).of("grant.ended").slice(-1);
    expect(ended).toMatchObject({ end: "revoked", by: "bob", reason: "wrong database" });
  });
});

describe("a request", () => {
  test("that is denied ends with 5 and the reason", async () => {
    const { child, id } = await ask(company.alice, "read-write");
    await company.bob.expect(["deny", id, "--reason", "not on a Friday"]);
    const { exitCode, stderr } = await child;
    expect(exitCode).toBe(5);
    expect(String(stderr)).toContain("not on a Friday");
    expect((await company.bob.run(["approve", id])).exitCode).toBe(10);
  });

  test("that nobody decides in time ends with 6", async () => {
    await company.installation.serverCommand(["users", "groups", "alice", "developers", "hasty"]);
    const { child } = await ask(company.alice, "read-write");
    expect(await child).toMatchObject({ exitCode: 6 });
    await company.installation.serverCommand(["users", "groups", "alice", "developers"]);
  });

  test("that is withdrawn ends with 6, and nobody can approve it any more", async () => {
    const { child, id } = await ask(company.alice, "read-write");
    await company.alice.expect(["withdraw", id]);
    expect(await child).toMatchObject({ exitCode: 6 });
    expect((await company.bob.run(["approve", id])).exitCode).toBe(10);
    expect(await requestView(company.alice, id)).toMatchObject({ state: "withdrawn" });
  });

  test("is approved by nobody but others (invariant 5)", async () => {
    const { child, id } = await ask(company.bob, "read-write");
    const own = await company.bob.run(["approve", id]);
    expect(own.exitCode).toBe(4);
    expect(own.stderr).toContain("Ask somebody else to run `jitdb approve`");
    expect((await company.alice.run(["approve", id])).exitCode).toBe(9);
    expect(await requestView(company.bob, id)).toMatchObject({ state: "pending", grantId: null });
    await company.bob.expect(["withdraw", id]);
    await child;
  });

  test("that a policy answers by itself is not answered on a device that nobody vouched for (invariant 2)", async () => {
    const carol = await company.installation.addLoggedIn("carol", ["developers"]);
    const { child, id } = await ask(carol, "read-only");
    expect((await carol.run(["connect", "prod-orders"])).exitCode).toBe(9);
    await company.bob.expect(["approve", id]);
    expect(await child).toMatchObject({ exitCode: 0 });
    // From here on the device is known.
    await company.grant("10s", "read-only", carol);
  });
});
