// Decisions over HTTP that come twice, together, too late, or from people who may not decide any more (invariants 3, 5, 44).

import type { GrantView, RequestView } from "@jitdb/shared/api/access";
import { apiError } from "@jitdb/shared/api/wire";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AccessRig, type Answer, type Client } from "./rig.ts";

const policies = `
  - name: two-of-them
    who: { groups: [developers] }
    profiles: [read-write]
    maxDuration: 1h
    approval: { count: 2, groups: [dba] }
  - name: one-of-them
    who: { groups: [developers] }
    profiles: [read-only]
    maxDuration: 1h
    approval: { groups: [dba] }
    extend: { by: 30m, times: 5 }
`;

let rig: AccessRig;
let alice: Client;
let bob: Client;
let carol: Client;
beforeEach(async () => {
  const people = {
    alice: ["developers"],
    bob: ["dba"],
    carol: ["dba"],
    dora: ["dba"],
    ada: ["admins"],
  };
  rig = await AccessRig.open({ policies, people });
  [alice, bob, carol] = await Promise.all([
    rig.logIn("alice"),
    rig.logIn("bob"),
    rig.logIn("carol"),
  ]);
});
afterEach(() => rig?.close());

const statuses = (answers: readonly Answer[]) => answers.map(({ status }) => status).sort();

const view = async (id: string): Promise<RequestView> =>
  (await alice.call<RequestView>("GET", `/requests/${id}`)).body;

const disable = (name: string) => rig.console({ users: { do: "disable", name } });

async function granted(): Promise<GrantView> {
  const { id } = await alice.ask();
  const { body } = await bob.call<RequestView>("POST", `/requests/${id}/approve`);
  return await alice.grant(body.grantId ?? "");
}

test("a decision needs no body where it has nothing to say", async () => {
  const { id } = await alice.ask();
  const { body } = await bob.call<RequestView>("POST", `/requests/${id}/approve`, null);
  expect(body.state).toBe("approved");
  expect((await alice.call("POST", `/grants/${body.grantId}/revoke`, null)).status).toBe(200);
  const { id: other } = await alice.ask();
  expect((await bob.call("POST", `/requests/${other}/deny`, null)).status).toBe(200);
});

describe("a double click", () => {
  test("asks once, and approves, denies, withdraws and revokes once", async () => {
    const [first, second] = await Promise.all([alice.ask(), alice.ask()]);
    expect(second.id).toBe(first.id);
    const approve = `/requests/${first.id}/approve`;
    const approved = await Promise.all([bob.call("POST", approve), bob.call("POST", approve)]);
    expect(statuses(approved)).toEqual([200, 409]);
    const { grantId } = await view(first.id);
    const revoke = `/grants/${grantId}/revoke`;
    const revoked = await Promise.all([alice.call("POST", revoke), alice.call("POST", revoke)]);
    expect(statuses(revoked)[0]).toBe(200);
    expect(statuses(revoked)[1]).toBeGreaterThanOrEqual(400);
    for (const action of ["deny", "withdraw"] as const) {
      const { id } = await alice.ask({ reason: action });
      const who = action === "deny" ? bob : alice;
      const path = `/requests/${id}/${action}`;
      expect(statuses(await Promise.all([who.call("POST", path), who.call("POST", path)]))).toEqual(
        [200, 409],
      );
    }
    for (const [kind, count] of [
      ["request.created", 3],
      ["request.approved", 1],
      ["grant.started", 1],
      ["grant.ended", 1],
      ["request.denied", 1],
      ["request.withdrawn", 1],
    ] as const) {
      expect([kind, (await rig.records(kind)).length]).toEqual([kind, count]);
    }
  });

  test("counts as one person of two", async () => {
    const { id } = await alice.ask({ profile: "read-write" });
    const path = `/requests/${id}/approve`;
    const both = await Promise.all([bob.call("POST", path), bob.call("POST", path)]);
    expect(statuses(both)).toEqual([200, 409]);
    expect(await view(id)).toMatchObject({ state: "pending", grantId: null });
    expect((await bob.refused("POST", path)).message).toBe(
      `You have already approved the request ${id}.`,
    );
  });

  test("extends once, from the end that was seen", async () => {
    const { id, endsAt } = await granted();
    const asked = { reason: "more", endsAt };
    await Promise.all([
      alice.call("POST", `/grants/${id}/extend`, asked),
      alice.call("POST", `/grants/${id}/extend`, asked),
    ]);
    expect(Date.parse((await alice.grant(id)).endsAt) - Date.parse(endsAt)).toBe(30 * 60_000);
    expect((await alice.refused("POST", `/grants/${id}/extend`, asked)).code).toBe(
      "request.decided",
    );
  });
});

test("a call that somebody recorded and sends again is refused, and changes nothing (invariant 3)", async () => {
  const { id } = await alice.ask({ profile: "read-write" });
  const path = `/api/v1/requests/${id}/approve`;
  const { access_token: token } = bob.tokens;
  const init = {
    method: "POST",
    headers: {
      authorization: `DPoP ${token}`,
      dpop: bob.device.proof("POST", rig.url + path, token),
      "content-type": "application/json",
    },
    body: "{}",
  };
  expect((await fetch(rig.url + path, init)).status).toBe(200);
  for (const url of [rig.url + path, `${rig.url}/api/v1/requests/${id}/deny`]) {
    const again = await fetch(url, init);
    expect(again.status).toBe(401);
    expect(apiError.parse(await again.json()).error.code).toBe("login.proof");
  }
  await rig.stop();
  await rig.start();
  expect((await fetch(rig.url + path, init)).status).toBe(401);
  expect(await view(id)).toMatchObject({ state: "pending", approvals: { needed: 2 } });
  expect(await rig.records("request.approved")).toHaveLength(1);
});

test("of an approval and a withdrawal at once one counts", async () => {
  const { id } = await alice.ask();
  const both = await Promise.all([
    bob.call("POST", `/requests/${id}/approve`),
    alice.call("POST", `/requests/${id}/withdraw`),
  ]);
  expect(statuses(both)).toEqual([200, 409]);
  const { state, grantId } = await view(id);
  expect(grantId === null).toBe(state === "withdrawn");
});

describe("people who were disabled", () => {
  test("decide on nothing, also with the tokens that they still have", async () => {
    const { id } = await alice.ask();
    await disable("bob");
    for (const action of ["approve", "deny"]) {
      const refusal = await bob.refused("POST", `/requests/${id}/${action}`);
      expect(refusal).toMatchObject({ code: "login.disabled" });
    }
    await rig.console({ users: { do: "enable", name: "bob" } });
    expect((await bob.refused("POST", `/requests/${id}/approve`)).code).toBe("login.expired");
    expect(await view(id)).toMatchObject({ state: "pending", approvals: { given: [] } });
  });

  test("have not approved any more: somebody else has to, in their place", async () => {
    const { id } = await alice.ask({ profile: "read-write" });
    const path = `/requests/${id}/approve`;
    await bob.call("POST", path);
    await disable("bob");
    expect((await carol.call("POST", path)).body).toMatchObject({
      state: "pending",
      grantId: null,
    });
    const dora = await rig.logIn("dora");
    expect((await dora.call("POST", path)).body).toMatchObject({ state: "approved" });
    expect(await rig.records("grant.started")).toHaveLength(1);
  });

  test("get nothing of what they had asked for", async () => {
    const { id } = await alice.ask();
    await disable("alice");
    expect((await bob.refused("POST", `/requests/${id}/approve`)).code).toBe("request.lapsed");
    expect(await rig.records("grant.started")).toEqual([]);
  });
});

test("whoever left the group, or lost the device, decides no more", async () => {
  const { id } = await alice.ask();
  await rig.console({ users: { do: "groups", name: "bob", groups: [] } });
  expect((await bob.refused("POST", `/requests/${id}/approve`)).code).toBe("request.unknown");
  await rig.console({ devices: { do: "revoke", person: "carol", device: carol.device.id } });
  expect((await carol.refused("POST", `/requests/${id}/approve`)).code).toBe("login.expired");
  const ada = await rig.logIn("ada");
  expect((await ada.refused("POST", `/requests/${id}/approve`)).code).toBe("access.forbidden");
  expect((await alice.refused("POST", `/requests/${id}/approve`)).code).toBe("access.own_request");
  expect(await view(id)).toMatchObject({ state: "pending" });
});
