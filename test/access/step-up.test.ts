// Rules that want a fresh login (step-up), over HTTP: what an old one may not do, and that a new one may (invariant 5).

import type { RequestView } from "@jitdb/shared/api/access";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AccessRig, type Client } from "./rig.ts";

const minute = 60_000;

const policies = `
  - name: writing
    who: { groups: [developers] }
    profiles: [read-write]
    maxDuration: 2h
    approval: { groups: [dba] }
    extend: { by: 30m, approval: { groups: [dba] } }
    stepUp: 15m
  - name: emergency
    who: { groups: [developers] }
    profiles: [read-only]
    maxDuration: 2h
    approval: automatic
    extend: { by: 30m }
    breakGlass: { review: { groups: [dba] } }
    stepUp: 15m
`;

let rig: AccessRig;
let alice: Client;
let bob: Client;
beforeEach(async () => {
  const people = { alice: ["developers"], bob: ["dba"] };
  rig = await AccessRig.open({ policies, people });
  [alice, bob] = await Promise.all([rig.logIn("alice"), rig.logIn("bob")]);
});
afterEach(() => rig?.close());

/** Time goes by; tokens are renewed as the CLI does it, which makes no login fresher. */
async function pass(ms: number): Promise<void> {
  rig.pass(ms);
  await Promise.all([alice.refresh(), bob.refresh()]);
}

const stale = {
  status: 403,
  code: "login.stale",
  message: "This needs a login of the last 15 minutes.",
  hint: "Run `jitdb login --again`, then the same command.",
};

const write = { profile: "read-write", durationSeconds: 7200 };

test("an approval and a denial want one, each refusal is on record and changes nothing", async () => {
  const { id } = await alice.ask(write);
  const other = await alice.ask({ ...write, reason: "INC-8" });
  await pass(16 * minute);
  expect(await bob.refused("POST", `/requests/${id}/approve`)).toEqual(stale);
  expect(await bob.refused("POST", `/requests/${other.id}/deny`)).toEqual(stale);
  const { body } = await alice.call<RequestView>("GET", `/requests/${id}`);
  expect(body).toMatchObject({ state: "pending", grantId: null, approvals: { given: [] } });
  const refused = (await rig.records("request.refused")).map(({ action, code }) => [action, code]);
  expect(refused).toEqual([
    ["approve", "login.stale"],
    ["deny", "login.stale"],
  ]);
  await bob.logInAgain();
  expect((await bob.call("POST", `/requests/${id}/approve`)).body).toMatchObject({
    state: "approved",
  });
  expect((await bob.call("POST", `/requests/${other.id}/deny`)).body).toMatchObject({
    state: "denied",
  });
});

test("a login that is almost as old as the rule allows will do", async () => {
  const { id } = await alice.ask(write);
  await bob.logInAgain();
  await pass(15 * minute - 10_000);
  expect((await bob.call("POST", `/requests/${id}/approve`)).status).toBe(200);
});

test("break-glass and more time of it want one, asking an approver wants none", async () => {
  const ask = { durationSeconds: 7200, breakGlass: true };
  await pass(16 * minute);
  const input = { database: "prod-orders", profile: "read-only", reason: "INC-7", ...ask };
  expect(await alice.refused("POST", "/requests", input)).toEqual(stale);
  expect(await rig.records("grant.started")).toEqual([]);
  expect((await alice.ask(write)).state).toBe("pending");
  await alice.logInAgain();
  const { grantId } = await alice.ask(ask);
  const grant = await alice.grant(grantId ?? "");
  await pass(16 * minute);
  const more = [`/grants/${grant.id}/extend`, { endsAt: grant.endsAt, reason: "INC-7" }] as const;
  expect(await alice.refused("POST", ...more)).toEqual(stale);
  expect((await alice.grant(grant.id)).endsAt).toBe(grant.endsAt);
  await alice.logInAgain();
  expect((await alice.call("POST", ...more)).body).toMatchObject({ state: "approved" });
});

test("whoever approves more time needs one, whoever asks for it does not", async () => {
  const { id } = await alice.ask(write);
  const { body } = await bob.call<RequestView>("POST", `/requests/${id}/approve`);
  const grant = await alice.grant(body.grantId ?? "");
  await pass(16 * minute);
  const path = `/grants/${grant.id}/extend`;
  const asked = await alice.call<RequestView>("POST", path, {
    endsAt: grant.endsAt,
    reason: "more",
  });
  expect(asked.body).toMatchObject({ state: "pending" });
  const decision = `/requests/${asked.body.id}/approve`;
  expect(await bob.refused("POST", decision)).toEqual(stale);
  await bob.logInAgain();
  expect((await bob.call("POST", decision)).body).toMatchObject({ state: "approved" });
  expect(Date.parse((await alice.grant(grant.id)).endsAt)).toBe(
    Date.parse(grant.endsAt) + 30 * minute,
  );
});

test("a second device's fresh login makes the first one's no fresher", async () => {
  const { id } = await alice.ask(write);
  await pass(16 * minute);
  const phone = await rig.logIn("bob");
  expect(await bob.refused("POST", `/requests/${id}/approve`)).toEqual(stale);
  expect((await phone.call("POST", `/requests/${id}/approve`)).status).toBe(200);
});
