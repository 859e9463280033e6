// How logins go on and how they end (invariant 4).

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  type IdentityServer,
  password,
  startIdentityServer,
} from "../../packages/server/src/identity/identity-fixture.ts";
import { type Answer, TestDevice } from "./device.ts";

let server: IdentityServer;
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  server = await startIdentityServer();
});
afterEach(async () => {
  await server.close();
  vi.useRealTimers();
  expect(server.errors).toEqual([]);
});

function pass(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

async function login() {
  const device = new TestDevice(server.url);
  return { device, tokens: await device.logIn("alice", password) };
}

const refreshTokenOf = ({ body }: Answer) => String(body["refresh_token"]);
const accessTokenOf = ({ body }: Answer) => String(body["access_token"]);
const kinds = () => server.events.map((event) => event.kind);
const gone = { status: 400, body: { error: "invalid_grant" } };

test("a refresh token is rotated at each use, and lives 30 days more each time", async () => {
  const { device, tokens } = await login();
  pass(29 * 24 * 3_600_000);
  const second = await device.refresh(tokens.refresh_token);
  expect(second.status).toBe(200);
  expect(refreshTokenOf(second)).not.toBe(tokens.refresh_token);
  pass(29 * 24 * 3_600_000);
  const third = await device.refresh(refreshTokenOf(second));
  expect(third.status).toBe(200);
  expect((await device.call(accessTokenOf(third))).status).toBe(200);
  pass(30 * 24 * 3_600_000);
  expect(await device.refresh(refreshTokenOf(third))).toMatchObject(gone);
});

test("an access token works for ten minutes", async () => {
  const { device, tokens } = await login();
  pass(599_000);
  expect((await device.call(tokens.access_token)).status).toBe(200);
  pass(1000);
  expect(await device.call(tokens.access_token)).toMatchObject({
    status: 401,
    body: { error: { code: "login.expired" } },
  });
});

test("a lost answer is no theft: the same key gets another within 60 s (invariant 4)", async () => {
  const { device, tokens } = await login();
  await device.refresh(tokens.refresh_token);
  pass(59_000);
  const again = await device.refresh(tokens.refresh_token);
  expect(again.status).toBe(200);
  expect((await device.call(accessTokenOf(again))).status).toBe(200);
  expect((await device.refresh(refreshTokenOf(again))).status).toBe(200);
  expect(kinds()).not.toContain("login.reuse_detected");
});

test("two processes that refresh at once both go on (invariant 4)", async () => {
  const { device, tokens } = await login();
  const answers = await Promise.all(
    Array.from({ length: 4 }, () => device.refresh(tokens.refresh_token)),
  );
  expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200]);
  for (const answer of answers) {
    expect((await device.refresh(refreshTokenOf(answer))).status).toBe(200);
  }
  expect(kinds()).not.toContain("login.reuse_detected");
});

test("the predecessor is reuse once the successor was used (invariant 4)", async () => {
  const { device, tokens } = await login();
  const second = await device.refresh(tokens.refresh_token);
  const third = await device.refresh(refreshTokenOf(second));
  expect(await device.refresh(tokens.refresh_token)).toMatchObject(gone);
  expect(await device.refresh(refreshTokenOf(third))).toMatchObject(gone);
  expect((await device.call(accessTokenOf(third))).status).toBe(401);
  expect(server.events).toContainEqual({
    kind: "login.reuse_detected",
    person: "alice",
    device: device.id,
    address: "127.0.0.1",
  });
});

test("the predecessor is reuse after 60 s, and ends the login with its tunnels (invariant 4)", async () => {
  const { device, tokens } = await login();
  const second = await device.refresh(tokens.refresh_token);
  pass(61_000);
  expect(await device.refresh(tokens.refresh_token)).toMatchObject(gone);
  expect(await device.refresh(refreshTokenOf(second))).toMatchObject(gone);
  expect(server.hints).toContainEqual({ type: "device", id: device.id });
  expect(await server.identity.devices.isLoggedIn(device.id as never)).toBe(false);
});

test("a refresh token in the hands of another key ends the login (invariant 4)", async () => {
  const { device, tokens } = await login();
  const thief = new TestDevice(server.url);
  expect(await thief.refresh(tokens.refresh_token)).toMatchObject(gone);
  expect(await device.refresh(tokens.refresh_token)).toMatchObject(gone);
  expect((await device.call(tokens.access_token)).status).toBe(401);
  expect(kinds()).toContain("login.reuse_detected");
});

test("logging out ends the login at once, with either token (invariant 4)", async () => {
  for (const kind of ["refresh_token", "access_token"] as const) {
    const { device, tokens } = await login();
    expect(await server.identity.devices.isLoggedIn(device.id as never)).toBe(true);
    expect((await device.logOut(tokens[kind])).status).toBe(200);
    expect((await device.call(tokens.access_token)).status).toBe(401);
    expect(await device.refresh(tokens.refresh_token)).toMatchObject(gone);
    expect(server.hints).toContainEqual({ type: "device", id: device.id });
    expect(await server.identity.devices.isLoggedIn(device.id as never)).toBe(false);
  }
  expect(kinds().filter((kind) => kind === "login.logged_out")).toHaveLength(2);
});

test("logging out twice, or with nonsense, is no error and no event", async () => {
  const { device, tokens } = await login();
  await device.logOut(tokens.refresh_token);
  expect((await device.logOut(tokens.refresh_token)).status).toBe(200);
  expect((await device.logOut("nonsense")).status).toBe(200);
  expect(kinds().filter((kind) => kind === "login.logged_out")).toHaveLength(1);
});

test("one login's end leaves the person's others alone", async () => {
  const first = await login();
  const second = await login();
  await first.device.logOut(first.tokens.refresh_token);
  expect((await second.device.call(second.tokens.access_token)).status).toBe(200);
});

test("disabling a person ends all their logins at once (invariant 4)", async () => {
  const { device, tokens } = await login();
  const person = await server.people.disable("alice", "bob");
  expect(await device.call(tokens.access_token)).toMatchObject({
    status: 403,
    body: { error: { code: "login.disabled" } },
  });
  expect(await device.refresh(tokens.refresh_token)).toMatchObject(gone);
  expect(server.hints).toContainEqual({ type: "person", id: person.id });
  expect(await server.identity.devices.isLoggedIn(device.id as never)).toBe(false);
  await server.people.enable("alice", "bob");
  expect((await device.call(tokens.access_token)).status).toBe(401);
});

test("a group that was taken away is gone with the next call", async () => {
  const { device, tokens } = await login();
  await server.people.setGroups("alice", ["admins"], "bob");
  expect((await device.call(tokens.access_token)).body).toMatchObject({ administrator: true });
  await server.people.setGroups("alice", [], "bob");
  expect((await device.call(tokens.access_token)).body).toMatchObject({ administrator: false });
});

test("a revoked device is refused, now and after a new login", async () => {
  const { device, tokens } = await login();
  const { vouching } = server.identity;
  expect(await vouching.revoke("console", device.id)).toMatchObject({ person: "alice" });
  await expect(vouching.revoke("console", device.id)).rejects.toMatchObject({
    code: "device.unknown",
  });
  expect(await device.call(tokens.access_token)).toMatchObject({
    status: 401,
    body: { error: { code: "login.expired" } },
  });
  expect(await device.refresh(tokens.refresh_token)).toMatchObject(gone);
  await expect(device.logIn("alice", password)).rejects.toThrow("access_denied");
});

test("a login ends after a year, however often it was refreshed", async () => {
  const { device, tokens } = await login();
  let refreshToken = tokens.refresh_token;
  for (let month = 0; month < 13; month += 1) {
    pass(28 * 24 * 3_600_000);
    refreshToken = refreshTokenOf(await device.refresh(refreshToken));
  }
  pass(28 * 24 * 3_600_000);
  expect(await device.refresh(refreshToken)).toMatchObject(gone);
});

test("the sweep forgets what expired, and nothing else", async () => {
  const { device, tokens } = await login();
  pass(24 * 3_600_000);
  await server.identity.sweep();
  const left = await server.store.db.selectFrom("oauth_artifacts").select("model").execute();
  expect(left.map((row) => row.model).toSorted()).toEqual(["Grant", "RefreshToken"]);
  expect((await device.refresh(tokens.refresh_token)).status).toBe(200);
});
