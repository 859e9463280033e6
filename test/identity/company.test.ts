// The company's login over OpenID Connect, against a real second provider: whom it lets in, and what it never changes (invariant 2).

import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import {
  type CompanyServer,
  startCompany,
} from "../../packages/server/src/identity/company-fixture.ts";
import {
  type IdentityServer,
  password,
  startIdentityServer,
} from "../../packages/server/src/identity/identity-fixture.ts";
import { Browser, type Page } from "../support/browser.ts";
import { type Started, TestDevice } from "./device.ts";

let company: CompanyServer;
let server: IdentityServer;
let device: TestDevice;
beforeAll(async () => {
  company = await startCompany(() => server.url);
  server = await startIdentityServer({ identity: { company: company.config } });
});
beforeEach(() => {
  device = new TestDevice(server.url);
});
afterEach(() => {
  vi.useRealTimers();
});
afterAll(async () => {
  await server.close();
  await company.close();
});

const beThere = (sub: string, name: string, groups = ["Data Developers"]) => {
  company.person = { sub, claims: { preferred_username: name, groups } };
};

/** Presses the company's button, and gives the way there without going it. */
async function wayThere(browser: Browser, started: Started): Promise<string> {
  const page = await browser.open(started.verification_uri_complete);
  const going = await browser.press(page, /example inc/i);
  const link = /<a href="([^"]*)">Go on by hand/.exec(going.html)?.[1];
  if (link === undefined) {
    throw new Error(going.text);
  }
  return link.replaceAll("&amp;", "&");
}

const goThere = async (started: Started, browser = new Browser()): Promise<Page> =>
  await browser.open(await wayThere(browser, started));

async function logIn(): Promise<string> {
  const started = await device.begin();
  const browser = new Browser();
  await browser.press(await goThere(started, browser), /^yes/i);
  return String((await device.poll(started)).body["access_token"]);
}

test("the first login makes the account, with the groups that the operator mapped and no others", async () => {
  beThere("c-1", "carol@example.com", ["Data Developers", "admins", "everybody"]);
  const token = await logIn();
  const { body } = await device.call(token);
  expect(body).toMatchObject({ name: "carol", groups: ["developers"], administrator: false });
  expect(server.events).toContainEqual(
    expect.objectContaining({ kind: "login.succeeded", person: "carol", method: "company" }),
  );
});

test("each login replaces the company's groups and leaves those of the operator, also where both gave one", async () => {
  beThere("d-1", "dora");
  await logIn();
  await server.people.setGroups("dora", ["developers", "night-shift"], "test");
  beThere("d-1", "a new name", ["DBA"]);
  device = new TestDevice(server.url);
  await logIn();
  expect(await server.people.get("dora")).toMatchObject({
    groups: ["dba", "developers", "night-shift"],
    companyGroups: ["dba"],
  });
  expect(server.events).toContainEqual({
    kind: "person.groups_changed",
    person: "dora",
    groups: ["dba", "developers", "night-shift"],
    by: "the company's login",
  });
});

test("the operator replaces their own groups, and the company's stay until it takes them back", async () => {
  beThere("k-1", "kim", ["DBA", "Data Developers"]);
  await logIn();
  await server.people.setGroups("kim", ["dba", "night-shift"], "test", "bob");
  const { groups } = await server.people.setGroups("kim", [], "test");
  expect(groups).toEqual(["dba", "developers"]);
  // Nobody here brought kim into what the company alone gives.
  const rows = await server.store.db.selectFrom("memberships").selectAll().execute();
  const { id } = await server.people.get("kim");
  expect(rows.filter(({ person_id }) => person_id === id)).toMatchObject([
    { group_name: "dba", source: "idp", added_by: null },
    { group_name: "developers", source: "idp", added_by: null },
  ]);
  beThere("k-1", "kim", []);
  device = new TestDevice(server.url);
  await logIn();
  expect((await server.people.get("kim")).groups).toEqual([]);
});

test("a name at the company never opens the local account of that name, which logs in beside it", async () => {
  beThere("evil", "bob", ["DBA"]);
  const page = await goThere(await device.begin());
  expect(page.status).toBe(403);
  expect(page.text).toContain("There is another account called bob here. Nothing was changed.");
  expect(await server.people.get("bob")).toMatchObject({
    company: false,
    groups: ["admins", "developers"],
  });
  expect((await device.logIn("bob", password)).token_type).toBe("DPoP");
});

test("a disabled account stays out", async () => {
  beThere("e-1", "erin");
  await logIn();
  await server.people.disable("erin", "test");
  const page = await goThere(await device.begin());
  expect(page.status).toBe(403);
  expect(page.text).toContain("The account erin is disabled here.");
});

test.each([
  ["none", {}],
  ["a text", { groups: "DBA" }],
  ["too many", { groups: Array.from({ length: 2001 }, String) }],
])("groups that are no list (%s) let nobody in and make no account", async (_what, claims) => {
  company.person = { sub: "f-1", claims: { preferred_username: "frank", ...claims } };
  const page = await goThere(await device.begin());
  expect(page.status).toBe(403);
  expect(page.text).toContain("it sent no list of groups as its claim groups");
  await expect(server.people.get("frank")).rejects.toMatchObject({ code: "person.unknown" });
});

test("an answer is heard once, and only in the browser that asked", async () => {
  beThere("g-1", "grace");
  const asking = new Browser();
  const link = await wayThere(asking, await device.begin());
  const elsewhere = await new Browser().open(link);
  expect(elsewhere.status).toBe(403);
  expect(elsewhere.text).toContain("began in another browser");
  expect((await asking.open(link)).text).toContain("Let this device in?");
  expect((await asking.open(link)).text).toContain("This login is over");
  await expect(asking.open(`${server.url}/device/company/return?state=x`)).resolves.toMatchObject({
    status: 403,
  });
});

test.each([5000, 600])(
  "a login that has to be anew asks the company anew, %d ms behind the last one",
  async (ms) => {
    const second = Math.ceil(Date.now() / 1000) * 1000;
    vi.useFakeTimers({ toFake: ["Date"], now: second + 100 });
    beThere(`h-${ms}`, `heidi-${ms}`);
    const browser = new Browser();
    await goThere(await device.begin(), browser);
    vi.useFakeTimers({ toFake: ["Date"], now: second + 100 + ms });
    const before = company.logins;
    const { body } = await device.start({ login_again: "true" });
    const page = await goThere(body as unknown as Started, browser);
    expect(page.text).toContain("Let this device in?");
    expect(company.logins).toBe(before + 1);
  },
);

const tell = async (logout_token: string): Promise<number> => {
  const body = new URLSearchParams({ logout_token });
  return (await fetch(`${server.url}/oauth/company/logout`, { method: "POST", body })).status;
};

test("a logout at the company ends the person's logins; a token that is none, or was used, ends nothing", async () => {
  beThere("i-1", "ivan");
  const token = await logIn();
  const iat = Math.floor(Date.now() / 1000);
  for (const claims of [
    { sub: "i-1", nonce: "n" },
    { sub: "i-1", aud: "another" },
    { sub: "i-1", iss: "https://example.com" },
    { sub: "i-1", events: {} },
    { sub: "i-1", iat: iat - 3600 },
    {},
  ]) {
    expect(await tell(company.logoutToken(claims))).toBe(400);
  }
  expect((await device.call(token)).status).toBe(200);
  const logout = company.logoutToken({ sub: "i-1" });
  expect(await tell(logout)).toBe(200);
  expect((await device.call(token)).status).toBe(401);
  expect(server.hints).toContainEqual({ type: "device", id: device.id });
  expect(await tell(logout)).toBe(400);
});

test("a logout that could not be written ends nothing, and the same token ends the logins afterwards", async () => {
  beThere("l-1", "lea");
  const token = await logIn();
  const logout = company.logoutToken({ sub: "l-1" });
  const write = server.store.transaction;
  server.store.transaction = () => Promise.reject(new Error("the disk is full"));
  expect(await tell(logout)).toBe(500);
  server.store.transaction = write;
  expect((await device.call(token)).status).toBe(200);
  expect(await tell(logout)).toBe(200);
  expect((await device.call(token)).status).toBe(401);
  expect(await tell(logout)).toBe(400);
});

test("a logout that names the company's session alone ends the logins of its person and of nobody else", async () => {
  beThere("m-1", "mia");
  const mia = await logIn();
  const hers = device;
  beThere("n-1", "nia");
  device = new TestDevice(server.url);
  const nia = await logIn();
  const [sid] = company.sessions.slice(-2);
  expect(await tell(company.logoutToken({ sid: "nobody's" }))).toBe(200);
  expect((await hers.call(mia)).status).toBe(200);
  expect(await tell(company.logoutToken({ sid }))).toBe(200);
  expect((await hers.call(mia)).status).toBe(401);
  expect((await device.call(nia)).status).toBe(200);
});

test("a company that does not answer is a page that says so, and local accounts go on", async () => {
  const down = await startIdentityServer({
    identity: { company: { ...company.config, issuer: "http://127.0.0.1:1" } },
  });
  const local = new TestDevice(down.url);
  const browser = new Browser();
  const opened = await browser.open((await local.begin()).verification_uri_complete);
  const page = await browser.press(opened, /example inc/i);
  expect(page.status).toBe(503);
  expect(page.text).toContain("Local accounts log in with their password.");
  expect(down.events).toContainEqual(expect.objectContaining({ kind: "login.failed" }));
  expect((await local.logIn("alice", password)).token_type).toBe("DPoP");
  await down.close();
});

test("a company that is slow holds up its own login and nobody else's", async () => {
  const sockets = new Set<Socket>();
  const silent = createServer((socket) => sockets.add(socket));
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  const issuer = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  const slow = await startIdentityServer({ identity: { company: { ...company.config, issuer } } });
  const local = new TestDevice(slow.url);
  const browser = new Browser();
  const opened = await browser.open((await local.begin()).verification_uri_complete);
  const asked = once(silent, "connection");
  const waiting = browser.press(opened, /example inc/i);
  await asked;
  expect((await local.logIn("alice", password)).token_type).toBe("DPoP");
  expect((await new Browser().open(`${slow.url}/device`)).status).toBe(200);
  for (const socket of sockets) {
    socket.destroy();
  }
  const page = await waiting;
  expect(page.status).toBe(503);
  expect(page.text).toContain("Try again in a minute");
  silent.close();
  await slow.close();
});

test.each([
  [
    "lines and orders to a terminal",
    'eve\r\n{"seq":1,"kind":"person.added"}\u001b[2J\u001b]52;c;x\u0007',
  ],
  ["letters that turn the direction of a text", "eve\u202egnp.exe"],
  ["mark-up", "<script>alert(1)</script>"],
  ["another alphabet's letters", "аlice"],
  ["more than a name has", "e".repeat(100_000)],
])(
  "a name with %s makes no account, and stands in no record and on no page",
  async (_what, name) => {
    const before = server.events.length;
    const failures = server.errors.length;
    beThere("evil-name", name);
    const page = await goThere(await device.begin());
    expect(page.status).toBe(403);
    expect(page.text).toContain("The company sent no name that can be one here.");
    expect(server.events.slice(before)).toEqual([
      {
        kind: "login.failed",
        address: "127.0.0.1",
        reason: "The company sent no name that can be one here.",
      },
    ]);
    expect(page.html).not.toContain(name);
    expect(server.errors.slice(failures)).toEqual([]);
    expect(
      (await server.people.list()).filter((person) => person.company && /^e/.test(person.name)),
    ).toMatchObject([{ name: "erin" }]);
  },
);

test("an answer that another provider sent (mix-up) is refused, on record, and spends the login", async () => {
  beThere("o-1", "oli");
  const browser = new Browser();
  const link = await wayThere(browser, await device.begin());
  const state = new URL(link).searchParams.get("state") ?? "";
  const forged = new URLSearchParams({ code: "theirs", state, iss: "https://evil.example.com" });
  const page = await browser.open(`${server.url}/device/company/return?${forged.toString()}`);
  expect(page.status).toBe(403);
  expect(page.text).toContain("what it sent is not for this login");
  expect(server.events.at(-1)).toMatchObject({ kind: "login.failed", address: "127.0.0.1" });
  expect(page.html + JSON.stringify(server.events)).not.toContain("evil.example.com");
  // The operator's log says why, without what the link carried.
  expect(String(server.errors.at(-1))).toContain('unexpected "iss" (issuer) response parameter');
  expect(String(server.errors.at(-1))).not.toContain(state);
  expect((await browser.open(link)).text).toContain("This login is over");
  await expect(server.people.get("oli")).rejects.toMatchObject({ code: "person.unknown" });
});

test("answers and logout tokens that anybody can send do not fill the audit", async () => {
  const before = server.events.length;
  for (let count = 0; count < 30; count += 1) {
    const stray = await fetch(`${server.url}/device/company/return?state=x`);
    expect([stray.status, await tell("x")]).toEqual([403, 400]);
  }
  expect(server.events.length - before).toBeLessThanOrEqual(20);
});
