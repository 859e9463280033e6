// Tokens are bound to a key: what is not proven to come from it is refused.

import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TokenAuthenticator } from "../../packages/server/src/identity/authenticator.ts";
import {
  type IdentityServer,
  password,
  startIdentityServer,
} from "../../packages/server/src/identity/identity-fixture.ts";
import { UsedProofs } from "../../packages/server/src/identity/proof.ts";
import { type Lies, TestDevice, type Tokens } from "./device.ts";

let server: IdentityServer;
let device: TestDevice;
let tokens: Tokens;
beforeAll(async () => {
  server = await startIdentityServer();
  device = new TestDevice(server.url);
  tokens = await device.logIn("alice", password);
});
afterAll(() => server.close());

const seconds = () => Math.floor(Date.now() / 1000);

test("a call with the token and a proof of its key is who it says", async () => {
  const { status, body } = await device.call(tokens.access_token);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    name: "alice",
    administrator: false,
    deviceId: device.id,
    address: "127.0.0.1",
  });
});

test("an Ed25519 key works as well", async () => {
  const other = new TestDevice(server.url, "EdDSA");
  const { access_token } = await other.logIn("bob", password);
  const { status, body } = await other.call(access_token);
  expect(status).toBe(200);
  expect(body).toMatchObject({ name: "bob", administrator: true });
});

const lies: readonly (readonly [string, () => Lies])[] = [
  ["unsigned with alg none", () => ({ header: { alg: "none" }, unsigned: true })],
  ["signed with alg none in its header", () => ({ header: { alg: "none" } })],
  [
    "an HMAC with the public key as its secret",
    () => ({ header: { alg: "HS256" }, secret: JSON.stringify(device.jwk) }),
  ],
  ["without its signature", () => ({ unsigned: true })],
  ["signed by another key than it shows", () => ({ header: { jwk: new TestDevice("").jwk } })],
  ["showing the private key", () => ({ header: { jwk: device.privateJwk } })],
  ["without a key", () => ({ header: { jwk: undefined } })],
  ["of another type", () => ({ header: { typ: "JWT" } })],
  ["with a critical extension", () => ({ header: { crit: ["b64"], b64: false } })],
  ["for another method", () => ({ payload: { htm: "POST" } })],
  ["for another path", () => ({ payload: { htu: `${server.url}/api/v1/grants` } })],
  ["for another server", () => ({ payload: { htu: "http://localhost:1/api/v1/me" } })],
  ["for the URL with a query", () => ({ payload: { htu: `${server.url}/api/v1/me?x=1` } })],
  ["without a URL", () => ({ payload: { htu: undefined } })],
  ["five minutes old", () => ({ payload: { iat: seconds() - 300 } })],
  ["from five minutes ahead", () => ({ payload: { iat: seconds() + 300 } })],
  ["62 seconds old", () => ({ payload: { iat: seconds() - 62 } })],
  ["without a time", () => ({ payload: { iat: undefined } })],
  ["with a text for a time", () => ({ payload: { iat: "now" } })],
  ["expired by its own word", () => ({ payload: { exp: seconds() - 1 } })],
  ["without an id", () => ({ payload: { jti: undefined } })],
  ["with an empty id", () => ({ payload: { jti: "" } })],
  ["with an id longer than any", () => ({ payload: { jti: "x".repeat(257) } })],
  ["longer than any", () => ({ payload: { more: "x".repeat(8000) } })],
  ["with somebody's nonce", () => ({ payload: { nonce: "n-0S6_WzA2Mj" } })],
  ["for another token", () => ({ payload: { ath: createHash("sha256").digest("base64url") } })],
  ["for no token", () => ({ payload: { ath: undefined } })],
];

test.each(lies)("refuses a call with a proof %s (invariant 3)", async (_what, lie) => {
  const { status, body, headers } = await device.call(tokens.access_token, { lies: lie() });
  expect(status).toBe(401);
  expect(body).toMatchObject({ error: { code: "login.proof" } });
  expect(headers.get("www-authenticate")).toBe(
    'DPoP error="invalid_dpop_proof", algs="ES256 EdDSA Ed25519"',
  );
});

const liesWithoutToken = lies.filter(([what]) => !/token|URL with a query/.test(what));
test.each(liesWithoutToken)("refuses tokens for a proof %s (invariant 3)", async (what, lie) => {
  const started = await device.begin();
  const said = lie();
  const url = `${server.url}/oauth/token`;
  // At this endpoint POST is the truth.
  const payload = what === "for another method" ? { htm: "GET" } : said.payload;
  const proof = device.proof("POST", url, undefined, { ...said, ...(payload && { payload }) });
  const { status, body } = await device.poll(started, proof);
  expect(status).toBe(400);
  expect(body["error"]).toBe("invalid_dpop_proof");
});

test("a proof works once, also across a restart (invariant 3)", async () => {
  const proof = device.proof("GET", `${server.url}/api/v1/me`, tokens.access_token);
  const answers = await Promise.all(
    Array.from({ length: 8 }, () => device.call(tokens.access_token, { proof })),
  );
  expect(answers.map((answer) => answer.status).toSorted()).toEqual([
    200,
    ...Array<number>(7).fill(401),
  ]);
  await server.identity.sweep();
  // What the next process starts with is the store alone.
  const { store } = server;
  const clock = { now: () => Date.now() };
  const usedProofs = new UsedProofs(store, clock);
  const restarted = new TokenAuthenticator({ store, clock, usedProofs });
  const call = {
    method: "GET",
    url: `${server.url}/api/v1/me`,
    authorization: `DPoP ${tokens.access_token}`,
    address: "127.0.0.1",
  };
  await expect(restarted.authenticate({ ...call, proof })).rejects.toMatchObject({
    code: "login.proof",
  });
  const fresh = device.proof("GET", call.url, tokens.access_token);
  await expect(restarted.authenticate({ ...call, proof: fresh })).resolves.toBeDefined();
});

test("the proof of a token request works once (invariant 3)", async () => {
  const other = new TestDevice(server.url);
  const first = await other.logIn("alice", password);
  const proof = other.proof("POST", `${server.url}/oauth/token`);
  const { body } = await other.refresh(first.refresh_token, proof);
  const again = await other.refresh(String(body["refresh_token"]), proof);
  expect(again).toMatchObject({ status: 400, body: { error: "invalid_grant" } });
  expect((await other.refresh(String(body["refresh_token"]))).status).toBe(200);
});

test("a stolen token is worth nothing with another device's proof (invariant 3)", async () => {
  const thief = new TestDevice(server.url);
  await thief.logIn("bob", password);
  const { status, body } = await thief.call(tokens.access_token);
  expect(status).toBe(401);
  expect(body).toMatchObject({ error: { code: "login.proof" } });
  const stranger = new TestDevice(server.url);
  expect(await stranger.call(tokens.access_token)).toMatchObject({
    status: 401,
    body: { error: { code: "login.expired" } },
  });
});

test("a token is no bearer token (invariant 3)", async () => {
  const { status, headers } = await device.call(tokens.access_token, { scheme: "Bearer" });
  expect(status).toBe(401);
  expect(headers.get("www-authenticate")).toBe('DPoP algs="ES256 EdDSA Ed25519"');
});

test("a call without login, or without proof, is told how to log in", async () => {
  const url = `${server.url}/api/v1/me`;
  const bare = await fetch(url);
  expect(bare.status).toBe(401);
  expect(await bare.json()).toMatchObject({ error: { code: "login.required" } });
  const proofless = await fetch(url, { headers: { authorization: `DPoP ${tokens.access_token}` } });
  expect(proofless.status).toBe(401);
  expect(await proofless.json()).toMatchObject({ error: { code: "login.proof" } });
});

test("the token endpoint wants a proof at every request", async () => {
  const body = new URLSearchParams({
    client_id: "jitdb-cli",
    grant_type: "refresh_token",
    refresh_token: tokens.refresh_token,
  });
  const answer = await fetch(`${server.url}/oauth/token`, { method: "POST", body });
  expect(answer.status).toBe(400);
  expect(await answer.json()).toMatchObject({ error: "invalid_dpop_proof" });
});

test("no token, code or cookie is in the store as it is", async () => {
  const rows = JSON.stringify(
    await server.store.db.selectFrom("oauth_artifacts").selectAll().execute(),
  );
  expect(rows).toContain("RefreshToken");
  expect(rows).not.toContain(tokens.access_token);
  expect(rows).not.toContain(tokens.refresh_token);
});
