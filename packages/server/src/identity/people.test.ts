import { randomBytes } from "node:crypto";
import { Secret } from "@jitdb/shared/secret";
import { afterEach, expect, test } from "vitest";
import type { AuditEvent } from "../audit/record.ts";
import { Bus, type Hint } from "../bus.ts";
import { openMemoryStore, type Store } from "../store/store.ts";
import { Passwords } from "./passwords.ts";
import { People, setupLinkLifetimeMs } from "./people.ts";

const password = new Secret("correct horse battery");
let store: Store | undefined;
afterEach(() => store?.close());

async function createPeople() {
  const clock = { ms: 1000, now: () => clock.ms };
  store = await openMemoryStore(clock);
  const events: AuditEvent[] = [];
  const hints: Hint[] = [];
  const bus = new Bus();
  bus.on((hint) => hints.push(hint));
  const random = { bytes: (count: number) => randomBytes(count) };
  const trail = {
    stage: async (_tx: unknown, event: AuditEvent) => void events.push(event),
    drain: async () => {},
  };
  const passwords = new Passwords(random);
  const people = new People({ store, clock, random, trail, bus, passwords });
  return { people, clock, events, hints, store };
}

test("a person is added once, with sorted groups, and listed by name", async () => {
  const { people, events } = await createPeople();
  await people.add({ name: "bob", groups: ["leads", "admins", "leads"] }, "console");
  await people.add({ name: "alice", groups: [] }, "console");
  expect(await people.list()).toMatchObject([
    { name: "alice", groups: [], disabled: false, hasPassword: false },
    { name: "bob", groups: ["admins", "leads"] },
  ]);
  await expect(people.add({ name: "bob", groups: [] }, "console")).rejects.toMatchObject({
    code: "person.exists",
  });
  expect(events.map((event) => event.kind)).toEqual(["person.added", "person.added"]);
});

test.each(["Alice", "", "-x", "a b", "a\u001b[0m", "x".repeat(64)])(
  "refuses the name %j without repeating it",
  async (name) => {
    const { people } = await createPeople();
    await expect(people.add({ name, groups: [] }, "console")).rejects.toMatchObject({
      code: "usage.invalid",
      message: "This cannot be a person's name.",
    });
    await expect(people.get(name)).rejects.toMatchObject({ code: "person.unknown" });
  },
);

test("only the hash of a set-up link is kept", async () => {
  const { people, store: opened } = await createPeople();
  const { link } = await people.add({ name: "alice", groups: [] }, "console");
  expect(link.token.reveal()).toMatch(/^[\w-]{43}$/);
  const rows = JSON.stringify(await opened.db.selectFrom("people").selectAll().execute());
  expect(rows).not.toContain(link.token.reveal());
});

test("a set-up link works once", async () => {
  const { people } = await createPeople();
  const { link } = await people.add({ name: "alice", groups: [] }, "console");
  expect((await people.linkOwner(link.token))?.name).toBe("alice");
  const uses = await Promise.all([
    people.useLink(link.token, password, "192.0.2.1"),
    people.useLink(link.token, new Secret("another long password"), "192.0.2.1"),
  ]);
  expect(uses.filter((person) => person !== undefined)).toHaveLength(1);
  expect(await people.linkOwner(link.token)).toBeUndefined();
});

test("a set-up link works for 24 hours, and not after a newer one was made", async () => {
  const { people, clock } = await createPeople();
  const { link } = await people.add({ name: "alice", groups: [] }, "console");
  clock.ms += setupLinkLifetimeMs - 1;
  expect(await people.linkOwner(link.token)).toBeDefined();
  clock.ms += 1;
  expect(await people.linkOwner(link.token)).toBeUndefined();
  expect(await people.useLink(link.token, password, "192.0.2.1")).toBeUndefined();

  const older = await people.renewLink("alice", "console");
  const newer = await people.renewLink("alice", "console");
  expect(await people.linkOwner(older.token)).toBeUndefined();
  expect(await people.linkOwner(newer.token)).toBeDefined();
});

test("a password that is too short does not spend the link", async () => {
  const { people } = await createPeople();
  const { link } = await people.add({ name: "alice", groups: [] }, "console");
  await expect(people.useLink(link.token, new Secret("short"), "x")).rejects.toMatchObject({
    code: "usage.invalid",
  });
  expect(await people.linkOwner(link.token)).toBeDefined();
});

test("a password is verified for enabled people alone", async () => {
  const { people } = await createPeople();
  await people.add({ name: "alice", groups: ["leads"] }, "console");
  expect(await people.verifyPassword("alice", password)).toBeUndefined();
  await people.setPassword("alice", password);
  expect(await people.verifyPassword("alice", password)).toMatchObject({ groups: ["leads"] });
  expect(await people.verifyPassword("alice", new Secret("wrong"))).toBeUndefined();
  expect(await people.verifyPassword("nobody", password)).toBeUndefined();
  await people.disable("alice", "console");
  expect(await people.verifyPassword("alice", password)).toBeUndefined();
  await people.enable("alice", "console");
  expect(await people.verifyPassword("alice", password)).toBeDefined();
});

test("disabling twice is recorded once, and hinted for tunnels to end", async () => {
  const { people, events, hints } = await createPeople();
  const { person } = await people.add({ name: "alice", groups: [] }, "console");
  await people.disable("alice", "bob");
  await people.disable("alice", "bob");
  expect(events.filter((event) => event.kind === "person.disabled")).toEqual([
    { kind: "person.disabled", person: "alice", by: "bob" },
  ]);
  expect(hints).toContainEqual({ type: "person", id: person.id });
});

test("keep through whom a person came into a group, also when groups are replaced (invariant 5)", async () => {
  const { people, store } = await createPeople();
  const { person: bob } = await people.add({ name: "bob", groups: [] }, "console");
  await people.add({ name: "alice", groups: ["ops"], through: "bob" }, "console");
  await people.setGroups("alice", ["ops", "developers"], "console");
  const rows = await store.db
    .selectFrom("memberships")
    .select(["group_name", "added_by"])
    .orderBy("group_name")
    .execute();
  expect(rows).toEqual([
    { group_name: "developers", added_by: null },
    { group_name: "ops", added_by: bob.id },
  ]);
  await expect(people.setGroups("alice", ["x"], "console", "nobody")).rejects.toMatchObject({
    code: "person.unknown",
  });
});

test("groups are replaced as a whole", async () => {
  const { people } = await createPeople();
  await people.add({ name: "alice", groups: ["leads", "developers"] }, "console");
  expect((await people.setGroups("alice", ["ops"], "console")).groups).toEqual(["ops"]);
  expect((await people.setGroups("alice", [], "console")).groups).toEqual([]);
  await expect(people.setGroups("alice", ["No Group"], "console")).rejects.toMatchObject({
    code: "usage.invalid",
  });
});
