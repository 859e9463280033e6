// The pages: what a person has to do before a device is let in (invariant 2), and that no other site can do it for them.

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import {
  type IdentityServer,
  password,
  startIdentityServer,
} from "../../packages/server/src/identity/identity-fixture.ts";
import { Browser } from "../support/browser.ts";
import { letIn, openConfirmPage, type Started, TestDevice } from "./device.ts";

let server: IdentityServer;
let device: TestDevice;
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  server = await startIdentityServer();
  device = new TestDevice(server.url);
});
afterEach(async () => {
  await server.close();
  vi.useRealTimers();
});

test("the complete link lets nobody in: it shows code, client, device, address and time, and asks (invariant 2)", async () => {
  vi.setSystemTime(Date.UTC(2026, 10, 23, 19, 57, 30));
  const started = await device.begin();
  vi.setSystemTime(Date.UTC(2026, 10, 23, 20, 0, 0));
  const browser = new Browser();
  const page = await openConfirmPage(started, "alice", password, browser);
  for (const shown of [
    started.user_code,
    "jitdb command line",
    "jitdb on alice-laptop (linux)",
    "127.0.0.1",
    "23 Nov 2026, 19:57 UTC",
    "2 minutes ago",
    "Did somebody send you this code or link?",
  ]) {
    expect(page.text).toContain(shown);
  }
  expect((await device.poll(started)).body["error"]).toBe("authorization_pending");
  // Neither does opening it again, or fetching what the buttons point at.
  await browser.open(started.verification_uri_complete);
  await browser.open(`${server.url}/device/approved`);
  expect((await browser.open(`${server.url}/device/decide`)).status).toBe(404);
  vi.setSystemTime(Date.now() + 2000);
  expect((await device.poll(started)).body["error"]).toBe("authorization_pending");
});

test("a browser that is logged in skips the password for eight hours, never the click (invariant 2)", async () => {
  const browser = new Browser();
  const first = await device.begin();
  await browser.press(await openConfirmPage(first, "alice", password, browser), /^yes/i);
  vi.setSystemTime(Date.now() + 8 * 3_600_000 - 1000);
  const second = await device.begin();
  const page = await browser.open(second.verification_uri_complete);
  expect(page.text).toContain("Let this device in?");
  expect((await device.poll(second)).body["error"]).toBe("authorization_pending");
  vi.setSystemTime(Date.now() + 1000);
  const asked = await browser.open(second.verification_uri_complete);
  expect(asked.text).toContain("Who are you?");
});

test("nothing about a device is shown before the login", async () => {
  const started = await device.begin();
  const page = await new Browser().open(started.verification_uri_complete);
  expect(page.text).toContain("Who are you?");
  expect(page.text).not.toContain("alice-laptop");
});

test("a new device is not confirmed by its login alone (invariant 2)", async () => {
  const { access_token } = await device.logIn("alice", password);
  expect((await device.call(access_token)).body).toMatchObject({ deviceConfirmed: false });
});

test("on a server of one's own machine, a device of the same machine is confirmed at once", async () => {
  const own = await startIdentityServer({ confirm: "loopback", trustProxy: true });
  const local = new TestDevice(own.url);
  const { access_token } = await local.logIn("alice", password);
  expect((await local.call(access_token)).body).toMatchObject({ deviceConfirmed: true });
  expect(own.events).toContainEqual({
    kind: "device.confirmed",
    person: "alice",
    device: local.id,
    by: "alice",
    how: "loopback",
  });
  for (const header of ["x-forwarded-for", "forwarded", "via", "x-real-ip"]) {
    const remote = new TestDevice(own.url);
    const { body } = await remote.start({}, { [header]: "127.0.0.1" });
    await letIn(body as never, "alice", password);
    const tokens = (await remote.poll(body as never)).body;
    const me = await remote.call(String(tokens["access_token"]));
    expect(me.body).toMatchObject({ deviceConfirmed: false });
  }
  await own.close();
});

test("a code may be typed in lower case, without its dash, with blanks", async () => {
  const { user_code } = await device.begin();
  const browser = new Browser();
  const entry = await browser.open(`${server.url}/device`);
  const typed = ` ${user_code.toLowerCase().replace("-", " ")} `;
  const page = await browser.press(entry, /continue/i, { user_code: typed });
  expect(page.text).toContain(user_code);
});

test("a wrong code and a wrong password are said, and can be tried again", async () => {
  const started = await device.begin();
  const browser = new Browser();
  const entry = await browser.open(`${server.url}/device`);
  const wrong = await browser.press(entry, /continue/i, { user_code: "BBBB-BBBB" });
  expect(wrong.status).toBe(404);
  expect(wrong.text).toContain("No device is waiting with this code.");
  const login = await browser.press(wrong, /continue/i, { user_code: started.user_code });
  for (const name of ["alice", "nobody"]) {
    const refused = await browser.press(login, /^log in$/i, { name, password: "wrong" });
    expect(refused.status).toBe(403);
    expect(refused.text).toContain("Name and password do not match.");
  }
  const confirm = await browser.press(login, /^log in$/i, { name: " Alice ", password });
  expect(confirm.text).toContain("Let this device in?");
});

test("failed logins are recorded, but no password that was typed for a name", async () => {
  const started = await device.begin();
  const browser = new Browser();
  const login = await browser.open(started.verification_uri_complete);
  await browser.press(login, /^log in$/i, { name: "alice", password: "wrong" });
  await browser.press(login, /^log in$/i, { name: "My Secret! Password", password: "alice" });
  const failures = server.events.filter((event) => event.kind === "login.failed");
  const reason = "Name and password do not match.";
  expect(failures).toEqual([
    { kind: "login.failed", address: "127.0.0.1", reason, name: "alice" },
    { kind: "login.failed", address: "127.0.0.1", reason },
  ]);
});

test("too many wrong passwords lock the page, not the account's other doors (invariant 1)", async () => {
  const started = await device.begin();
  const browser = new Browser();
  const login = await browser.open(started.verification_uri_complete);
  const tries = await Promise.all(
    Array.from({ length: 21 }, () =>
      browser.press(login, /^log in$/i, { name: "alice", password: "wrong" }),
    ),
  );
  expect(tries.filter((page) => page.status === 403)).toHaveLength(20);
  expect(tries.filter((page) => page.status === 429)).toHaveLength(1);
  const locked = await browser.press(login, /^log in$/i, { name: "alice", password });
  expect(locked.text).toContain("Too many tries. Wait 10 minutes, then try again.");
  vi.setSystemTime(Date.now() + 600_000);
  const again = await device.begin();
  expect((await openConfirmPage(again, "alice", password)).text).toContain("Let this device in?");
});

test("a disabled person can't log in, and a session of before is over", async () => {
  const started = await device.begin();
  const browser = new Browser();
  const page = await openConfirmPage(started, "alice", password, browser);
  await server.people.disable("alice", "bob");
  const refused = await browser.press(page, /^yes/i);
  expect(refused.text).toContain("Who are you?");
  const wrong = await browser.press(refused, /^log in$/i, { name: "alice", password });
  expect(wrong.text).toContain("Name and password do not match.");
  expect((await device.poll(started)).body["error"]).toBe("authorization_pending");
});

test("somebody else's browser session can be left", async () => {
  const started = await device.begin();
  const browser = new Browser();
  const page = await openConfirmPage(started, "alice", password, browser);
  const left = await browser.press(page, /not you/i);
  expect(left.text).toContain("Who are you?");
  const confirm = await browser.press(left, /^log in$/i, { name: "bob", password });
  expect(confirm.text).toContain("It will act as bob");
});

test("no other site can press the button: the form's token belongs to one browser", async () => {
  const started = await device.begin();
  const browser = new Browser();
  const page = await openConfirmPage(started, "alice", password, browser);
  const token = page.forms[0]?.fields.get("form_token") ?? "";
  const cookie = await loggedInCookie("alice");
  const send = async (headers: Record<string, string>, form_token: string) => {
    const body = new URLSearchParams({
      form_token,
      user_code: started.user_code,
      decision: "approve",
    });
    const url = `${server.url}/device/decide`;
    return await fetch(url, { method: "POST", body, headers, redirect: "manual" });
  };
  // Another browser's token, none, and the right one from another site.
  expect((await send({ cookie }, token)).status).toBe(403);
  expect((await send({ cookie }, "")).status).toBe(403);
  expect((await send({}, token)).status).toBe(403);
  const own = await formTokenOf(cookie, started.verification_uri_complete);
  const crossSite = { cookie, "sec-fetch-site": "cross-site" };
  expect((await send(crossSite, own)).status).toBe(403);
  expect((await device.poll(started)).body["error"]).toBe("authorization_pending");
  expect((await send({ cookie }, own)).headers.get("location")).toBe("/device/approved");
});

test("the session's cookie is new after the login, for this site alone, and unreadable for scripts", async () => {
  const started = await device.begin();
  const planted = "A".repeat(43);
  const first = await fetch(started.verification_uri_complete);
  expect(first.headers.get("set-cookie")).toMatch(
    /^jitdb=[\w-]{43}; Path=\/; HttpOnly; SameSite=Lax$/,
  );
  const cookie = `jitdb=${planted}`;
  const form_token = await formTokenOf(cookie, started.verification_uri_complete);
  const body = new URLSearchParams({
    form_token,
    user_code: started.user_code,
    name: "alice",
    password,
  });
  const answer = await fetch(`${server.url}/device/login`, {
    method: "POST",
    body,
    headers: { cookie },
    redirect: "manual",
  });
  expect(answer.status).toBe(303);
  expect(answer.headers.get("set-cookie")).not.toContain(planted);
  const page = await fetch(started.verification_uri_complete, { headers: { cookie } });
  expect(await page.text()).toContain("Who are you?");
});

test("behind https the cookie is the host's alone", async () => {
  const secure = await startIdentityServer({ publicUrl: "https://jitdb.example.com" });
  const { port } = new URL(secure.listeningAt);
  const other = new TestDevice(`http://127.0.0.1:${port}`);
  const started = await other.begin();
  const page = await fetch(`http://127.0.0.1:${port}/device?user_code=${started.user_code}`);
  expect(page.headers.get("set-cookie")).toMatch(/^__Host-jitdb=.*; Secure$/);
  expect(started.verification_uri).toBe("https://jitdb.example.com/device");
  await secure.close();
});

test("every page forbids scripts, frames, foreign forms, referrers and caches", async () => {
  const started = await device.begin();
  for (const path of [
    "/device",
    `/device?user_code=${started.user_code}`,
    "/device?user_code=BBBB-BBBB",
    "/device/approved",
    "/device/denied",
    "/setup/nonsense",
  ]) {
    const { headers } = await fetch(server.url + path);
    expect(headers.get("content-security-policy")).toBe(
      "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    );
    expect(headers.get("cache-control")).toBe("no-store");
    expect(headers.get("referrer-policy")).toBe("no-referrer");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  }
});

test("the pages need nothing but themselves, their style sheet and their icon", async () => {
  const page = await new Browser().open(`${server.url}/device`);
  expect(page.html).not.toMatch(/<script|style=|\son\w+=|https?:\/\/(?!127\.0\.0\.1)/);
  const links = Array.from(
    page.html.matchAll(/<link rel="\w+" href="([^"]+)"/g),
    ([, path]) => path,
  );
  expect(links).toHaveLength(2);
  for (const path of links) {
    const answer = await fetch(server.url + path);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("cache-control")).toContain("immutable");
  }
});

test("a form that is no form, too large or twice filled in harms nothing", async () => {
  const url = `${server.url}/device/login`;
  const send = async (type: string, body: string) =>
    (await fetch(url, { method: "POST", headers: { "content-type": type }, body })).status;
  expect(await send("application/json", "{}")).toBe(415);
  expect(await send("application/x-www-form-urlencoded", "a".repeat(20_000))).toBe(413);
  expect(await send("application/x-www-form-urlencoded", "form_token=a&form_token=b")).toBe(403);
});

test("a login that has to be anew takes no password of before it, not even of the same second", async () => {
  const second = Math.ceil(Date.now() / 1000) * 1000;
  vi.setSystemTime(second + 100);
  const browser = new Browser();
  await openConfirmPage(await device.begin(), "alice", password, browser);
  vi.setSystemTime(second + 600);
  const { body } = await device.start({ login_again: "true" });
  const started = body as unknown as Started;
  const asked = await browser.open(started.verification_uri_complete);
  expect(asked.text).not.toContain("Let this device in?");
  const page = await browser.press(asked, /^log in$/i, { name: "alice", password });
  expect(page.text).toContain("Let this device in?");
});

test("a set-up link leads to a password, once", async () => {
  const { link } = await server.people.add({ name: "carol", groups: [] }, "console");
  const url = `${server.url}/setup/${link.token.reveal()}`;
  const browser = new Browser();
  const page = await browser.open(url);
  expect(page.text).toContain("Welcome, carol");
  const short = await browser.press(page, /set password/i, { password: "short", repeat: "short" });
  expect(short.text).toContain("at least 12 characters");
  const unequal = await browser.press(page, /set password/i, { password, repeat: `${password}!` });
  expect(unequal.text).toContain("The two passwords are not the same.");
  const done = await browser.press(page, /set password/i, { password, repeat: password });
  expect(done.text).toContain("Your password is set");
  expect(done.text).toContain(`jitdb login ${server.url}`);
  expect((await browser.open(url)).text).toContain("This link no longer works");
  const late = await browser.press(page, /set password/i, { password, repeat: password });
  expect(late.status).toBe(410);
  expect((await device.logIn("carol", password)).token_type).toBe("DPoP");
  expect(server.events).toContainEqual({
    kind: "setup.used",
    person: "carol",
    address: "127.0.0.1",
  });
});

/** Logs a browser in by hand; gives its cookie. */
async function loggedInCookie(name: string): Promise<string> {
  const other = await new TestDevice(server.url).begin();
  const first = await fetch(other.verification_uri_complete);
  const cookie = first.headers.get("set-cookie")?.split(";")[0] ?? "";
  const form_token = await formTokenOf(cookie, other.verification_uri_complete);
  const body = new URLSearchParams({ form_token, user_code: other.user_code, name, password });
  const answer = await fetch(`${server.url}/device/login`, {
    method: "POST",
    body,
    headers: { cookie },
    redirect: "manual",
  });
  return answer.headers.get("set-cookie")?.split(";")[0] ?? "";
}

async function formTokenOf(cookie: string, url: string): Promise<string> {
  const page = await (await fetch(url, { headers: { cookie } })).text();
  return /name="form_token" value="([^"]+)"/.exec(page)?.[1] ?? "";
}
