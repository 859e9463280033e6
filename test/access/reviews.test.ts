// Break-glass over HTTP: who reads its records, and that its review stays open until somebody else has signed (invariant 5).

import type { GrantView } from "@jitdb/shared/api/access";
import type { AuditRecordView } from "@jitdb/shared/api/audit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { AccessRig, type Client } from "./rig.ts";

const policies = `
  - name: emergency
    who: { groups: [oncall] }
    profiles: [read-write]
    maxDuration: 1h
    approval: automatic
    extend: { by: 30m }
    breakGlass: { review: { groups: [security], within: 24h } }
  - name: reading
    who: { groups: [oncall] }
    profiles: [read-only]
    maxDuration: 1h
    approval: automatic
`;

let rig: AccessRig;
/** She breaks the glass, and is one of the reviewers. */
let alice: Client;
let bob: Client;
let carol: Client;
let ada: Client;
beforeAll(async () => {
  const people = {
    alice: ["oncall", "security"],
    bob: ["security"],
    carol: ["oncall"],
    ada: ["admins"],
  };
  rig = await AccessRig.open({ policies, people });
  [alice, bob, carol, ada] = await Promise.all([
    rig.logIn("alice"),
    rig.logIn("bob"),
    rig.logIn("carol"),
    rig.logIn("ada"),
  ]);
});
afterAll(() => rig?.close());

async function grantOf(who: Client, fields: object = {}): Promise<string> {
  const { grantId } = await who.ask(fields);
  if (grantId === null) {
    throw new Error("It was not granted at once.");
  }
  return grantId;
}

const broken = { profile: "read-write", breakGlass: true };

async function recordsOf(who: Client, query: string): Promise<readonly AuditRecordView[]> {
  const { body } = await who.call<{ records: AuditRecordView[] }>("GET", `/audit?${query}`);
  return body.records ?? [];
}

/** Resolves when the records of a grant's end can be searched for. */
const shipped = (grant: string) =>
  eventually("the records can be searched", async () => {
    const records = await recordsOf(ada, `grant=${grant}`);
    return records.some(({ kind }) => kind === "grant.ended");
  });

const openReviews = async (who: Client): Promise<readonly string[]> => {
  const path = "/grants?scope=all&openReviews=true";
  const { body } = await who.call<{ grants: GrantView[] }>("GET", path);
  return body.grants.map(({ id }) => id);
};

test("reviewers, and only they, read the records of the grants that they review", async () => {
  const reviewed = await grantOf(carol, broken);
  const ordinary = await grantOf(carol);
  await carol.call("POST", `/grants/${reviewed}/release`);
  await carol.call("POST", `/grants/${ordinary}/release`);
  await Promise.all([shipped(reviewed), shipped(ordinary)]);

  const read = await recordsOf(bob, `grant=${reviewed}`);
  expect(read).toEqual(await recordsOf(ada, `grant=${reviewed}`));
  expect(read.filter(({ kind }) => !kind.startsWith("user."))).toMatchObject([
    { kind: "request.granted", person: "carol", breakGlass: true },
    { kind: "grant.started", breakGlass: true },
    { kind: "review.opened", reviewers: ["security"], breakGlass: true },
    { kind: "grant.ended", breakGlass: true },
  ]);
  // Nothing of another grant, of the person, or of everybody.
  expect(await recordsOf(bob, `grant=${ordinary}`)).toEqual([]);
  expect(await bob.refused("GET", "/audit?person=carol")).toMatchObject({
    status: 403,
    code: "access.forbidden",
  });
  const own = await recordsOf(bob, "limit=500");
  expect(own.filter(({ person }) => person !== "bob")).toEqual([]);
  // The grant's person has their own; whoever reviews nothing has nothing, and administrators have all.
  expect((await recordsOf(carol, `grant=${reviewed}`)).length).toBe(read.length);
  expect(await recordsOf(alice, `grant=${reviewed}`)).toEqual(read);

  await rig.console({ users: { do: "groups", name: "bob", groups: ["oncall"] } });
  expect(await recordsOf(bob, `grant=${reviewed}`)).toEqual([]);
  expect((await bob.refused("GET", `/grants/${reviewed}`)).code).toBe("grant.unknown");
  await rig.console({ users: { do: "groups", name: "bob", groups: ["security"] } });
});

test("a review stays open until somebody else than its person has signed it, over restarts", async () => {
  const id = await grantOf(alice, broken);
  const { endsAt } = await alice.grant(id);
  const longer = await alice.call("POST", `/grants/${id}/extend`, { endsAt, reason: "INC-7" });
  expect(longer.body).toMatchObject({ state: "approved", breakGlass: true });
  expect((await bob.refused("POST", `/grants/${id}/review`)).code).toBe("review.not_open");
  await alice.call("POST", `/grants/${id}/release`);

  const refusals = async () => {
    expect(await alice.refused("POST", `/grants/${id}/review`, { comment: "fine" })).toMatchObject({
      status: 403,
      code: "access.own_request",
    });
    expect((await carol.refused("POST", `/grants/${id}/review`)).code).toBe("grant.unknown");
    // Administrators see it, and are no reviewers.
    expect((await ada.refused("POST", `/grants/${id}/review`)).code).toBe("grant.unknown");
    const phished = await rig.logIn("bob", { confirmed: false });
    expect((await phished.refused("POST", `/grants/${id}/review`)).code).toBe("device.unconfirmed");
    expect(await openReviews(bob)).toContain(id);
    expect((await alice.grant(id)).review).toMatchObject({ signedBy: null, signedAt: null });
  };
  await refusals();
  await rig.stop();
  await rig.start();
  await refusals();

  const comment = { comment: "INC-7 was real" };
  const signed = await Promise.all([
    bob.call("POST", `/grants/${id}/review`, comment),
    bob.call("POST", `/grants/${id}/review`, comment),
  ]);
  expect(signed.map(({ status }) => status).sort()).toEqual([200, 409]);
  await rig.stop();
  await rig.start();
  expect((await alice.grant(id)).review).toMatchObject({ signedBy: "bob", ...comment });
  expect(await openReviews(bob)).not.toContain(id);
  const records = (await rig.records("review.signed")).filter(({ grant }) => grant === id);
  expect(records).toMatchObject([{ person: "alice", by: "bob", breakGlass: true, late: false }]);
  const extended = (await rig.records("grant.extended")).filter(({ grant }) => grant === id);
  expect(extended).toMatchObject([{ breakGlass: true }]);
});
