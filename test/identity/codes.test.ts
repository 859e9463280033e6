// Device codes and user codes: who may guess, how long they live, and that each works once (invariant 1).

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  type IdentityServer,
  password,
  startIdentityServer,
} from "../../packages/server/src/identity/identity-fixture.ts";
import { Browser } from "../support/browser.ts";
import { letIn, openConfirmPage, TestDevice } from "./device.ts";

let server: IdentityServer;
let device: TestDevice;
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  server = await startIdentityServer({ trustProxy: true });
  device = new TestDevice(server.url);
});
afterEach(async () => {
  await server.close();
  vi.useRealTimers();
  expect(server.errors).toEqual([]);
});

function pass(ms: number): void {
  vi.setSystemTime(Date.now() + ms);
}

/** Opens the page of a code, as if from another address. */
async function guess(code: string, address: string): Promise<number> {
  const headers = { "x-forwarded-for": address };
  return (await fetch(`${server.url}/device?user_code=${code}`, { headers })).status;
}

test("the device gets a code of 256 bits, one of eight letters, and the pace", async () => {
  const started = await device.begin();
  expect(started).toMatchObject({
    expires_in: 600,
    interval: 1,
    verification_uri: `${server.url}/device`,
    verification_uri_complete: `${server.url}/device?user_code=${started.user_code}`,
  });
  expect(started.device_code).toMatch(/^[\w-]{43}$/);
  expect(started.user_code).toMatch(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/);
});

test("what the server says of itself comes from its configuration, not from the Host header", async () => {
  const headers = { host: "evil.example", "x-forwarded-host": "evil.example" };
  const { body } = await device.start({}, headers);
  expect(body["verification_uri"]).toBe(`${server.url}/device`);
  for (const path of ["openid-configuration", "oauth-authorization-server"]) {
    const answer = await fetch(`${server.url}/.well-known/${path}`, { headers });
    const document = await answer.text();
    expect(document).not.toContain("evil.example");
    expect(JSON.parse(document)).toMatchObject({
      issuer: server.url,
      jitdb_client_id: "jitdb-cli",
      token_endpoint: `${server.url}/oauth/token`,
      device_authorization_endpoint: `${server.url}/oauth/device_authorization`,
      revocation_endpoint: `${server.url}/oauth/revoke`,
      dpop_signing_alg_values_supported: ["ES256", "EdDSA", "Ed25519"],
    });
    expect(JSON.parse(document)).not.toHaveProperty("authorization_endpoint");
  }
});

test("a device waits until somebody says yes", async () => {
  const started = await device.begin();
  expect((await device.poll(started)).body["error"]).toBe("authorization_pending");
  await letIn(started, "alice", password);
  pass(2000);
  expect((await device.poll(started)).status).toBe(200);
});

test("a device that asks too often is slowed down (invariant 1)", async () => {
  const started = await device.begin();
  expect((await device.poll(started)).body["error"]).toBe("authorization_pending");
  pass(1);
  expect((await device.poll(started)).body["error"]).toBe("slow_down");
  pass(2000);
  expect((await device.poll(started)).body["error"]).toBe("slow_down");
  pass(12_000);
  expect((await device.poll(started)).body["error"]).toBe("authorization_pending");
});

test("a code is redeemed once, also by two at once (invariant 1)", async () => {
  const started = await device.begin();
  await letIn(started, "alice", password);
  const first = await device.poll(started);
  expect(first.status).toBe(200);
  pass(2000);
  const second = await device.poll(started);
  expect(second).toMatchObject({ status: 400, body: { error: "invalid_grant" } });
});

test("two redemptions at once give one set of tokens at the most (invariant 1)", async () => {
  const started = await device.begin();
  await letIn(started, "alice", password);
  const thief = new TestDevice(server.url);
  const answers = await Promise.all([device.poll(started), thief.poll(started)]);
  expect(answers.filter((answer) => answer.status === 200).length).toBeLessThanOrEqual(1);
});

test("a code is dead after no (invariant 1)", async () => {
  const started = await device.begin();
  const browser = new Browser();
  const page = await openConfirmPage(started, "alice", password, browser);
  const denied = await browser.press(page, /^no/i);
  expect(denied.text).toContain("Turned away");
  expect((await device.poll(started)).body["error"]).toBe("access_denied");
  pass(2000);
  expect((await device.poll(started)).body["error"]).toBe("invalid_grant");
  expect((await browser.open(started.verification_uri_complete)).text).toContain("was used");
  expect(server.events).toContainEqual({
    kind: "login.denied",
    person: "alice",
    address: "127.0.0.1",
    reason: 'The login of "jitdb on alice-laptop (linux)" from 127.0.0.1 was not theirs.',
  });
});

test("a code dies after ten minutes, for the device and for the browser (invariant 1)", async () => {
  const started = await device.begin();
  const browser = new Browser();
  const page = await openConfirmPage(started, "alice", password, browser);
  pass(600_000);
  expect((await browser.press(page, /^yes/i)).text).toContain("This code has expired");
  expect((await device.poll(started)).body["error"]).toBe("expired_token");
  pass(11 * 60_000);
  await server.identity.sweep();
  expect((await device.poll(started)).body["error"]).toBe("invalid_grant");
});

test("yes and no at once: the first counts, the second hears it", async () => {
  const started = await device.begin();
  const browser = new Browser();
  const page = await openConfirmPage(started, "alice", password, browser);
  const [yes, no] = await Promise.all([browser.press(page, /^yes/i), browser.press(page, /^no/i)]);
  const outcomes = [yes.text.includes("You are logged in"), no.text.includes("Turned away")];
  expect(outcomes.filter(Boolean)).toHaveLength(1);
  expect((await device.poll(started)).status === 200).toBe(outcomes[0]);
});

test("a used code can't be approved again, as somebody else neither", async () => {
  const started = await device.begin();
  const browser = new Browser();
  const page = await openConfirmPage(started, "bob", password, browser);
  await letIn(started, "alice", password);
  expect((await browser.press(page, /^yes/i)).text).toContain("This code was used");
  const { body } = await device.poll(started);
  expect((await device.call(String(body["access_token"]))).body).toMatchObject({ name: "alice" });
});

test("an address that guesses codes has to wait, others not (invariant 1)", async () => {
  const started = await device.begin();
  for (let tries = 0; tries < 20; tries += 1) {
    expect(await guess("BBBB-BBBB", "192.0.2.1")).toBe(404);
  }
  expect(await guess(started.user_code, "192.0.2.1")).toBe(429);
  expect(await guess(started.user_code, "192.0.2.2")).toBe(200);
  pass(600_000);
  expect(await guess("BBBB-BBBB", "192.0.2.1")).toBe(404);
});

test("1,000 guesses from everywhere lock all codes for a while (invariant 1)", async () => {
  const started = await device.begin();
  for (let round = 0; round < 50; round += 1) {
    const statuses = await Promise.all(
      Array.from({ length: 20 }, () => guess("BBBB-BBBB", `198.51.100.${round}`)),
    );
    expect(new Set(statuses)).toEqual(new Set([404]));
  }
  expect(await guess(started.user_code, "192.0.2.1")).toBe(429);
  expect(server.events).toContainEqual({
    kind: "login.failed",
    address: "192.0.2.1",
    reason: "Too many wrong codes from everywhere.",
  });
});

test("logins can't be started without end from one address", async () => {
  const started = await Promise.all(
    Array.from({ length: 101 }, () => device.start({}, { "x-forwarded-for": "192.0.2.1" })),
  );
  expect(started.filter((answer) => answer.status === 429)).toHaveLength(1);
  expect((await device.start({}, { "x-forwarded-for": "192.0.2.2" })).status).toBe(200);
});

test.each([
  ["a line break", "laptop\nAddress: 10.0.0.1"],
  ["a change of the text's direction", "laptop \u202Egnp.exe"],
  ["invisible characters", "lap\u200Btop"],
  ["81 characters", "x".repeat(81)],
  ["nothing", ""],
])("refuses a device label with %s", async (_what, device_label) => {
  const { status, body } = await device.start({ device_label });
  // OAuth counts an empty parameter as one that was left out.
  expect(status === 200).toBe(device_label === "");
  expect(body["error"]).toBe(device_label === "" ? undefined : "invalid_request");
});

test("a device without a label, or with one in any script, is shown", async () => {
  const plain = (await device.start()).body as { verification_uri_complete: string };
  const browser = new Browser();
  const entry = await browser.open(plain.verification_uri_complete);
  const page = await browser.press(entry, /^log in$/i, { name: "alice", password });
  expect(page.text).toContain("unnamed device");
  const other = await device.begin(`Zoës <b>"Läptop"</b> 笔记本`);
  const shown = await browser.open(other.verification_uri_complete);
  expect(shown.html).toContain("Zoës &lt;b&gt;&quot;Läptop&quot;&lt;/b&gt; 笔记本");
});

test("a device's key that is somebody's is nobody else's", async () => {
  await device.logIn("alice", password);
  await expect(device.logIn("bob", password)).rejects.toThrow("access_denied");
  expect(server.events).toContainEqual(
    expect.objectContaining({ kind: "login.failed", person: "bob", device: device.id }),
  );
  expect((await device.logIn("alice", password)).token_type).toBe("DPoP");
});
