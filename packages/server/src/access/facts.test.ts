// What a rule may look at beyond names: services, the time that nobody said, and what somebody had of late.

import { afterEach, beforeEach, expect, test } from "vitest";
import { type AccessFixture, createAccessFixture, minute, policy } from "./access-fixture.ts";

const automatic = { kind: "automatic" } as const;
const hour = 60 * minute;

let fixture: AccessFixture;

beforeEach(async () => {
  fixture = await createAccessFixture();
});
afterEach(() => fixture.store.close());

function useRules(...policies: ReturnType<typeof policy>[]): void {
  fixture.access.useRules({ policies, databases: fixture.ports.config.databases });
}

async function ask(database: string, durationMs?: number, reason = "") {
  const input = { database, profile: "read-write", durationMs, reason };
  return await fixture.access.request(fixture.caller("alice"), input);
}

async function makeService(name: "alice"): Promise<void> {
  await fixture.store.db
    .updateTable("people")
    .set({ kind: "service" })
    .where("name", "=", name)
    .execute();
}

test("a service gets what names it as a service, and nothing through a person's name or a group", async () => {
  await makeService("alice");
  const who = { groups: ["developers"], people: ["alice"], services: [] };
  useRules(policy("people", { who, approval: automatic }));
  await expect(ask("test", minute)).rejects.toMatchObject({ code: "policy.no_match" });
  expect(await fixture.access.databasesFor(fixture.caller("alice"))).toEqual([]);
  useRules(
    policy("services", {
      who: { groups: [], people: [], services: ["alice"] },
      when: 'service == "alice" && person == ""',
      approval: automatic,
    }),
  );
  expect(await ask("test", minute)).toMatchObject({ state: "approved", policy: "services" });
  expect(await fixture.access.databasesFor(fixture.caller("alice"))).not.toEqual([]);
});

test("a person gets nothing by the name of a service", async () => {
  const who = { groups: [], people: [], services: ["alice"] };
  useRules(policy("services", { who, approval: automatic }));
  await expect(ask("test", minute)).rejects.toMatchObject({ code: "policy.no_match" });
});

test("who does not say how long gets the time of the policy that decides", async () => {
  useRules(
    policy("short", { databases: ["test"], defaultDurationMs: 15 * minute, when: "minutes <= 15" }),
    policy("long", { maxDurationMs: 2 * hour }),
  );
  expect(await ask("test")).toMatchObject({ policy: "short", durationSeconds: 900 });
  expect(await ask("test", 16 * minute)).toMatchObject({ policy: "long", durationSeconds: 960 });
  await expect(ask("prod-orders")).rejects.toMatchObject({
    code: "usage.duration",
    message: "The policy long has no default duration for read-write on prod-orders.",
    hint: "Say how long with --for, up to 2h.",
  });
  const shown = await fixture.access.databasesFor(fixture.caller("alice"));
  const { profiles = [] } = shown.find(({ name }) => name === "test") ?? {};
  expect(profiles).toMatchObject([
    { defaultDurationSeconds: 900 },
    { defaultDurationSeconds: 900 },
  ]);
});

test("a condition sees what the person had, on the database and on all, in a day and in a week", async () => {
  useRules(
    policy("few", {
      when: "recent.here.day.grants < 2 && recent.anywhere.week.minutes < 180",
      maxDurationMs: 2 * hour,
      approval: automatic,
    }),
  );
  await ask("test", hour, "one");
  await ask("test", hour, "two");
  await expect(ask("test", minute)).rejects.toMatchObject({ code: "policy.no_match" });
  expect((await ask("prod-orders", hour)).state).toBe("approved");
  await expect(ask("prod-people", minute)).rejects.toMatchObject({ code: "policy.no_match" });
  fixture.clock.ms += 24 * hour;
  await fixture.access.sweep();
  // A day later this database is free again, and the week is not.
  await expect(ask("test", minute)).rejects.toMatchObject({ code: "policy.no_match" });
  fixture.clock.ms += 6 * 24 * hour;
  expect((await ask("test", minute)).state).toBe("approved");
});

test("a condition counts the time that was used, not what was given back, and nobody else's", async () => {
  useRules(policy("few", { when: "recent.here.day.minutes <= 10", approval: automatic }));
  const { grantId } = await ask("test", hour);
  await expect(ask("test", minute)).rejects.toMatchObject({ code: "policy.no_match" });
  fixture.clock.ms += 9 * minute;
  await fixture.access.release(fixture.caller("alice"), grantId ?? "");
  expect((await ask("test", hour)).state).toBe("approved");
  const anna = { database: "test", profile: "read-write", durationMs: hour, reason: "" };
  expect((await fixture.access.request(fixture.caller("anna"), anna)).state).toBe("approved");
});

test("a condition tells one device from another by its key", async () => {
  useRules(policy("this", { when: 'device.id == "alice"', approval: automatic }));
  await fixture.addDevice("alice", "laptop", { confirmed: true });
  const input = { database: "test", profile: "read-write", durationMs: minute, reason: "" };
  await expect(
    fixture.access.request(fixture.caller("alice", "laptop"), input),
  ).rejects.toMatchObject({ code: "policy.no_match" });
  expect((await ask("test", minute)).state).toBe("approved");
});

test("a clock that steps back gives no fresh day: what is ahead of it counts, too", async () => {
  useRules(policy("one", { when: "recent.here.day.grants == 0", approval: automatic }));
  await ask("test", minute);
  fixture.clock.ms -= 3 * hour;
  await expect(ask("test", minute, "again")).rejects.toMatchObject({ code: "policy.no_match" });
});
