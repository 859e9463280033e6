// Services over HTTP: they ask under the same rules as people, and decide on nothing (invariants 2 and 5).

import { generateKeyPairSync, randomUUID, sign } from "node:crypto";
import type { RequestView } from "@jitdb/shared/api/access";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { UserCommand } from "../../packages/server/src/control/users.ts";
import { TestDevice } from "../identity/device.ts";
import { AccessRig, Client } from "./rig.ts";

const policies = `
  - name: nightly-reads
    who: { services: [nightly] }
    profiles: [read-only]
    maxDuration: 10m
    approval: automatic
    reason: { pattern: "^job " }
    perDay: { grants: 2 }
  - name: nightly-writes
    who: { services: [nightly] }
    profiles: [read-write]
    maxDuration: 10m
    approval: { groups: [dba] }
  - name: developers-read
    who: { groups: [developers] }
    profiles: [read-only]
    maxDuration: 1h
    approval: { groups: [dba] }
`;

const key = generateKeyPairSync("ec", { namedCurve: "P-256" });

let rig: AccessRig;
let nightly: Client;
let alice: Client;
let bob: Client;
beforeAll(async () => {
  const { kty, crv, x, y } = key.publicKey.export({ format: "jwk" });
  rig = await AccessRig.open({
    policies,
    people: { alice: ["developers"], bob: ["dba"] },
    sections: `identity:
  services:
    nightly:
      keys: [{ kty: ${kty}, crv: ${crv}, x: ${x}, y: ${y} }]
`,
  });
  [nightly, alice, bob] = await Promise.all([logInNightly(), rig.logIn("alice"), rig.logIn("bob")]);
});
afterAll(() => rig?.close());

/** As `jitdb login --service nightly --key …` does it: an assertion, signed by the service's key. */
async function logInNightly(): Promise<Client> {
  const device = new TestDevice(rig.url);
  const iat = Math.floor(Date.now() / 1000);
  const claims = { iss: "nightly", sub: "nightly", aud: rig.url, iat, exp: iat + 60 };
  const input = [{ alg: "ES256" }, { ...claims, jti: randomUUID() }]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  const signature = sign("sha256", Buffer.from(input), {
    key: key.privateKey,
    dsaEncoding: "ieee-p1363",
  });
  const { status, body } = await device.token({
    grant_type: "client_credentials",
    client_id: "nightly",
    client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    client_assertion: `${input}.${signature.toString("base64url")}`,
  });
  if (status !== 200) {
    throw new Error(JSON.stringify(body));
  }
  return new Client("nightly", rig.url, device, {
    access_token: String(body["access_token"]),
    refresh_token: "",
  });
}

const job = { reason: "job 17", durationSeconds: 600 };

test("a service asks under its policies: their limits, reasons, approvals and days hold for it", async () => {
  expect(await nightly.ask(job)).toMatchObject({ person: "nightly", state: "approved" });
  const ask = { database: "prod-orders", profile: "read-only", ...job };
  for (const [fields, code] of [
    [{ reason: "because" }, "usage.invalid"],
    [{ durationSeconds: 3600 }, "policy.duration"],
    [{ profile: "admin" }, "policy.no_match"],
    [{ breakGlass: true }, "policy.no_match"],
  ] as const) {
    const refusal = await nightly.refused("POST", "/requests", { ...ask, ...fields });
    expect([fields, refusal.code]).toEqual([fields, code]);
  }
  expect((await nightly.ask(job)).state).toBe("approved");
  expect((await nightly.refused("POST", "/requests", ask)).code).toBe("policy.limit");
  const write = await nightly.ask({ ...job, profile: "read-write" });
  expect(write).toMatchObject({ state: "pending", grantId: null, canDecide: false });
  const { body } = await bob.call<RequestView>("POST", `/requests/${write.id}/approve`);
  expect(body).toMatchObject({ state: "approved", decidedBy: "bob" });
  expect(await nightly.grant(body.grantId ?? "")).toMatchObject({ person: "nightly" });
});

test("a service decides on nothing of anybody's, its own included, and sees what is its own", async () => {
  const asked = await alice.ask();
  const own = await nightly.ask({ ...job, profile: "read-write", reason: "job 18" });
  const mine = own.grantId ?? (await rig.records("grant.started"))[0]?.grant;
  for (const [method, path, code] of [
    ["POST", `/requests/${asked.id}/approve`, "request.unknown"],
    ["POST", `/requests/${asked.id}/deny`, "request.unknown"],
    ["GET", `/requests/${asked.id}`, "request.unknown"],
    ["POST", `/requests/${own.id}/approve`, "access.own_request"],
    ["POST", `/requests/${own.id}/deny`, "access.own_request"],
    ["POST", `/grants/${mine}/review`, "grant.unknown"],
    ["GET", "/audit?person=alice", "access.forbidden"],
    ["POST", `/devices/${alice.device.id}/confirm`, "device.unknown"],
    ["POST", `/devices/${alice.device.id}/revoke`, "device.unknown"],
  ] as const) {
    expect([path, (await nightly.refused(method, path)).code]).toEqual([path, code]);
  }
  const { body } = await nightly.call<{ requests: RequestView[] }>("GET", "/requests?scope=inbox");
  expect(body.requests).toEqual([]);
  expect((await alice.call("GET", `/requests/${asked.id}`)).body).toMatchObject({
    state: "pending",
  });
});

test("nobody brings a service into a group or gives it a password, not even the operator", async () => {
  const commands: readonly UserCommand[] = [
    { do: "groups", name: "nightly", groups: ["dba"] },
    { do: "setup-link", name: "nightly" },
  ];
  for (const command of commands) {
    await expect(rig.console({ users: command })).rejects.toMatchObject({ code: "usage.invalid" });
  }
  await rig.console({ users: { do: "disable", name: "nightly" } });
  expect((await nightly.refused("GET", "/me")).code).toBe("login.disabled");
  await expect(logInNightly()).rejects.toThrow("may not log in");
});
