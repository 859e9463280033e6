// Services: CI jobs with a key or a token of their CI come in under a name of the configuration (invariants 2 and 5), and nobody else does.

import { generateKeyPairSync, randomBytes, randomUUID, sign as signBytes } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  type IdentityServer,
  startIdentityServer,
} from "../../packages/server/src/identity/identity-fixture.ts";
import { UsedProofs } from "../../packages/server/src/identity/proof.ts";
import { Services } from "../../packages/server/src/identity/services.ts";
import { TestDevice } from "./device.ts";

const own = generateKeyPairSync("ec", { namedCurve: "P-256" });
const ci = generateKeyPairSync("ec", { namedCurve: "P-256" });
const exchange = "urn:ietf:params:oauth:grant-type:token-exchange";
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

let issuer: Server;
let issuerUrl: string;
let server: IdentityServer;
let device: TestDevice;

beforeEach(async () => {
  issuer = createServer((request, response) => {
    const keys = [{ ...ci.publicKey.export({ format: "jwk" }), kid: "ci", alg: "ES256" }];
    const discovery = { issuer: issuerUrl, jwks_uri: `${issuerUrl}/keys` };
    response.end(JSON.stringify(request.url === "/keys" ? { keys } : discovery));
  });
  await new Promise<void>((done) => issuer.listen(0, "127.0.0.1", done));
  issuerUrl = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`;
  server = await startIdentityServer({
    identity: {
      services: {
        nightly: { keys: [{ ...own.publicKey.export({ format: "jwk" }), kty: "EC" }] },
        "ci-migrations": {
          tokens: {
            issuer: issuerUrl,
            audience: "jitdb",
            claims: { repository: "example/orders", environment: "production" },
          },
        },
      },
    },
  });
  device = new TestDevice(server.url);
});
afterEach(async () => {
  await server.close();
  issuer.close();
});

type Claims = Readonly<Record<string, unknown>>;

/** Signs with node's crypto alone, so that the server is not checked with the library that it checks with. */
function sign(key: typeof ci, payload: Claims): string {
  const now = Math.floor(Date.now() / 1000);
  const claims = { iat: now, exp: now + 60, jti: randomUUID(), ...payload };
  const input = [{ alg: "ES256" }, claims]
    .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
    .join(".");
  const signature = signBytes("sha256", Buffer.from(input), {
    key: key.privateKey,
    dsaEncoding: "ieee-p1363",
  });
  return `${input}.${signature.toString("base64url")}`;
}

const assertion = (payload: Claims = {}, key = own) =>
  sign(key, { iss: "nightly", sub: "nightly", aud: server.url, ...payload });

const withKey = async (client_assertion: string) =>
  await device.token({
    grant_type: "client_credentials",
    client_id: "nightly",
    client_assertion_type: assertionType,
    client_assertion,
  });

const ciToken = (payload: Claims = {}, key = ci) =>
  sign(key, {
    iss: issuerUrl,
    aud: "jitdb",
    repository: "example/orders",
    environment: "production",
    ...payload,
  });

const withToken = async (subject_token: string, more: Record<string, string> = {}) =>
  await device.token({
    grant_type: exchange,
    service: "ci-migrations",
    subject_token,
    subject_token_type: "urn:ietf:params:oauth:token-type:jwt",
    ...more,
  });

test("a service with its key gets a token that is bound to the device's key, and no refresh token", async () => {
  const { status, body } = await withKey(assertion());
  expect(body).toMatchObject({ token_type: "DPoP", expires_in: 3600 });
  expect(status).toBe(200);
  expect(body["refresh_token"]).toBe(undefined);
  const token = String(body["access_token"]);
  expect((await device.call(token)).body).toMatchObject({
    name: "nightly",
    groups: [],
    administrator: false,
    deviceConfirmed: true,
  });
  // Whoever finds the token cannot use it without the key.
  expect((await new TestDevice(server.url).call(token)).status).toBe(401);
  expect(server.events).toContainEqual(
    expect.objectContaining({ kind: "login.succeeded", person: "nightly", method: "service key" }),
  );
  expect(server.errors).toEqual([]);
});

test("assertions that are stolen, replayed, for others, without end or unsigned are refused", async () => {
  const used = assertion();
  expect((await withKey(used)).body).toMatchObject({ token_type: "DPoP" });
  expect((await withKey(used)).body).toMatchObject({ error: "invalid_grant" });
  const later = Math.floor(Date.now() / 1000) + 3600;
  const unsigned = assertion().replace(/^[^.]+/, btoa('{"alg":"none"}').replace(/=+$/, ""));
  for (const wrong of [
    assertion({}, ci),
    assertion({ iss: "ci-migrations", sub: "ci-migrations" }),
    assertion({ aud: "https://other.example.com" }),
    assertion({ aud: [server.url, "https://other.example.com"] }),
    assertion({ exp: later }),
    unsigned,
  ]) {
    const { body } = await withKey(wrong);
    expect(["invalid_client", "invalid_request"]).toContain(body["error"]);
    expect(body).not.toHaveProperty("access_token");
  }
});

test("a token of the CI is exchanged once, for the service whose claims it has", async () => {
  const token = ciToken();
  const { status, body } = await withToken(token);
  expect(body).toMatchObject({ token_type: "DPoP", expires_in: 3600 });
  expect(status).toBe(200);
  const called = await device.call(String(body["access_token"]));
  expect(called.body).toMatchObject({ name: "ci-migrations" });
  expect((await withToken(token)).body).toEqual({
    error: "invalid_grant",
    error_description:
      "The token for ci-migrations was refused: it was used before; fetch a new one.",
  });
});

test("tokens of other jobs, issuers, audiences, keys and times are refused, and each refusal is on record", async () => {
  const past = Math.floor(Date.now() / 1000) - 7200;
  for (const [token, reason] of [
    [ciToken({ repository: "example/fork" }), "its claim repository is not the one"],
    [ciToken({ environment: undefined }), "its claim environment is not the one"],
    [ciToken({ iss: "https://evil.example.com" }), "another issuer made it"],
    [ciToken({ aud: "sts.example.com" }), "its claim aud does not fit"],
    [ciToken({ exp: past }), "it has expired"],
    [ciToken({}, own), "its signature cannot be verified"],
    ["nonsense", "its signature cannot be verified"],
  ] as const) {
    const { status, body } = await withToken(token);
    expect([status, body["error"]]).toEqual([400, "invalid_grant"]);
    expect(body["error_description"]).toContain(reason);
    expect(server.events.at(-1)).toMatchObject({
      kind: "login.failed",
      name: "ci-migrations",
      reason: body["error_description"],
    });
  }
  expect((await withToken(ciToken(), { service: "nightly" })).status).toBe(400);
  expect((await withToken(ciToken(), { service: "alice" })).status).toBe(400);
  expect((await withToken(ciToken(), { service: "__proto__" })).status).toBe(400);
});

test("an issuer that is down lets nobody in and says so; the same token works when it is back", async () => {
  const token = ciToken();
  const { port } = issuer.address() as AddressInfo;
  issuer.close();
  issuer.closeAllConnections();
  const { status, body } = await withToken(token);
  expect(body["error_description"]).toBe(`${issuerUrl} does not answer as it should.`);
  expect([status, body["error"]]).toEqual([400, "temporarily_unavailable"]);
  await new Promise<void>((done) => issuer.listen(port, "127.0.0.1", done));
  expect((await withToken(token)).status).toBe(200);
});

test("a disabled service is out, and a service gets neither groups nor a password", async () => {
  await server.people.disable("nightly", "test");
  expect((await withKey(assertion())).status).toBe(400);
  await expect(server.people.setGroups("nightly", ["admins"], "test")).rejects.toThrow("a service");
  await expect(server.people.renewLink("nightly", "test")).rejects.toThrow("a service");
});

test("a service that the configuration no longer names is disabled, so that its token is worth nothing and its grants end", async () => {
  const { body } = await withKey(assertion());
  const token = String(body["access_token"]);
  const { store, people } = server;
  const clock = { now: () => Date.now() };
  await new Services({
    ...{ store, people, clock, usedProofs: new UsedProofs(store, clock) },
    random: { bytes: (count) => randomBytes(count) },
    journal: { record: () => 0 },
    identity: { services: {} },
  }).synchronise();
  expect((await people.get("nightly")).disabled).toBe(true);
  expect((await device.call(token)).status).toBe(403);
  expect(server.events).toContainEqual(
    expect.objectContaining({ kind: "person.disabled", person: "nightly", by: "configuration" }),
  );
});
