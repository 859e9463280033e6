// What the company's provider may say, do and be, and what comes of it: a person, or a refusal in our words (invariant 2).

import { randomBytes } from "node:crypto";
import { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type CompanyConfig, identitySchema } from "../config/identity.ts";
import { Company, type CompanyPerson } from "./company.ts";
import { createKey, ScriptedCompany, scriptedClient, scriptedIssuer } from "./scripted-company.ts";

const secret = "a secret for tests";

let provider: ScriptedCompany;
let company: Company;
beforeEach(() => {
  provider = new ScriptedCompany();
  company = createCompany();
});
afterEach(() => {
  vi.useRealTimers();
});

function createCompany(over: Partial<CompanyConfig> = {}): Company {
  const { company: config } = identitySchema.parse({
    company: {
      issuer: scriptedIssuer,
      clientId: scriptedClient,
      clientSecret: new Secret(secret),
      groups: { "Data Developers": "developers", DBA: "dba" },
    },
  });
  if (config === undefined) {
    throw new Error("The configuration has no company.");
  }
  return new Company({
    config: { ...config, ...over },
    clock: { now: () => Date.now() },
    random: { bytes: (count) => randomBytes(count) },
    publicUrl: "https://jitdb.example.com",
    fetch: provider.fetch,
    timeoutSeconds: 0.05,
  });
}

/** A whole login; `search` makes the query that the browser comes back with. */
async function logIn(
  search = (state: string) => `?code=c&state=${state}&iss=${encodeURIComponent(scriptedIssuer)}`,
): Promise<CompanyPerson> {
  const { question } = await company.ask(false);
  provider.nonce = question.nonce;
  return await company.hear(search(question.state), question);
}

async function refusalOf(work: Promise<unknown>): Promise<JitdbError> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (!(thrown instanceof JitdbError)) {
    throw new Error("It was not refused.", { cause: thrown });
  }
  return thrown;
}

const hang = (signal: AbortSignal | null | undefined) =>
  new Promise<never>((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason));
  });

test("a right answer names the person, their groups here and when they logged in", async () => {
  const before = Date.now();
  const told = await logIn();
  expect(told).toMatchObject({
    subject: `${scriptedIssuer} s-1`,
    name: "carol",
    groups: ["developers"],
    session: undefined,
  });
  expect(before - told.provenAt).toBeGreaterThan(58_000);
  expect(provider.asked).toEqual(["/.well-known/openid-configuration", "/token", "/keys"]);
});

describe("an ID token is refused", () => {
  const now = Math.floor(Date.now() / 1000);
  test.each([
    ["for another client", { aud: "another" }],
    ["for several, of which another is meant", { aud: [scriptedClient, "b"], azp: "b" }],
    ["for several, where none is said to be meant", { aud: [scriptedClient, "b"] }],
    ["of another issuer", { iss: "https://evil.example.com" }],
    ["of another login", { nonce: "replayed" }],
    ["without the nonce", { nonce: undefined }],
    ["that has expired", { exp: now - 3600, iat: now - 7200 }],
    ["that does not begin yet", { nbf: now + 3600 }],
    ["without an end", { exp: undefined }],
    ["that names nobody", { sub: undefined }],
    ["with a time that is none", { auth_time: "yesterday" }],
  ])("%s", async (_what, claims) => {
    provider.idToken = claims;
    expect(await refusalOf(logIn())).toMatchObject({
      code: "login.company",
      message:
        "The company's login was refused: what it sent is not for this login, or cannot be verified.",
      hint: expect.stringContaining("an administrator compares identity.company in jitdb.yaml"),
    });
  });

  test.each([
    ["by nobody", { unsigned: true as const }],
    ["by a key that is not published", { key: createKey("first") }],
    ["by a key of another name", { key: createKey("another") }],
    ["with the client's secret", { secret }],
    ["with the public key as the secret", { secret: "public" }],
  ])("signed %s", async (_what, signing) => {
    const [key] = provider.keys;
    const pem = key?.publicKey.export({ format: "pem", type: "spki" });
    provider.signing =
      "secret" in signing && signing.secret === "public" ? { secret: pem ?? "" } : signing;
    expect(["login.company", "login.provider"]).toContain((await refusalOf(logIn())).code);
  });
});

describe("an answer is refused", () => {
  test.each([
    [
      "of another issuer (mix-up, RFC 9207)",
      (state: string) => `?code=c&state=${state}&iss=https://evil.example.com`,
    ],
    ["of another question", () => "?code=c&state=another"],
    ["that is two", (state: string) => `?code=c&state=${state}&state=another`],
  ])("%s, before anything is asked of the provider", async (_what, search) => {
    expect((await refusalOf(logIn(search))).code).toBe("login.company");
    expect(provider.asked).not.toContain("/token");
  });

  test("that does not say whose it is, where the provider says that it always does", async () => {
    provider.document = { authorization_response_iss_parameter_supported: true };
    const refusal = await refusalOf(logIn((state) => `?code=c&state=${state}`));
    expect(refusal.code).toBe("login.company");
    expect(provider.asked).not.toContain("/token");
  });

  test("that turns the login down, without the words of whoever made the link", async () => {
    const words = "&error=access_denied&error_description=Call+0800-EVIL%0a%1b[2J";
    const refusal = await refusalOf(logIn((state) => `?state=${state}${words}`));
    expect(refusal.code).toBe("login.company");
    expect(refusal.message).toBe("The company's login was refused: it turned the login down.");
  });
});

describe("groups", () => {
  test.each([
    ["none", undefined],
    ["a text", "DBA"],
    ["a number", 7],
    ["a map", { 0: "DBA", length: 1 }],
    ["null", null],
    ["2,001 of them", Array.from({ length: 2001 }, String)],
  ])("that are no list (%s) let nobody in", async (_what, groups) => {
    provider.idToken = { groups };
    expect(await refusalOf(logIn())).toMatchObject({
      code: "login.company",
      message: "The company's login was refused: it sent no list of groups as its claim groups.",
    });
  });

  test("may be thousands, of any kind: those count that the operator named, once each", async () => {
    const others = Array.from({ length: 1990 }, (_, index) => `group ${index}`);
    provider.idToken = {
      groups: [...others, null, 7, ["DBA"], { DBA: 1 }, "dba", "admins", "DBA", "DBA"],
    };
    expect((await logIn()).groups).toEqual(["dba"]);
  });

  test("come from the userinfo endpoint where the ID token has none, and from nobody else's answer", async () => {
    provider.idToken = { groups: undefined };
    provider.userinfo = { groups: ["DBA"] };
    expect((await logIn()).groups).toEqual(["dba"]);
    provider.userinfo = { groups: ["DBA"], sub: "s-2" };
    expect((await refusalOf(logIn())).code).toBe("login.company");
    provider.answers = { "/userinfo": hang };
    expect((await refusalOf(logIn())).message).toBe("The company's login is too slow.");
  });

  test("have to hold the one that is required", async () => {
    company = createCompany({ requiredGroup: "Employees" });
    expect((await refusalOf(logIn())).message).toBe(
      "The company's login was refused: the account there is not in the group Employees.",
    );
    provider.idToken = { groups: ["Employees"] };
    expect((await logIn()).groups).toEqual([]);
  });
});

test.each([
  ["none", undefined, 0],
  ["ahead of us", 4_000_000_000, Number.NaN],
])(
  "a time of the login that is %s makes no login fresher than it is",
  async (_what, auth_time, at) => {
    const now = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now });
    provider.idToken = { auth_time };
    expect((await logIn()).provenAt).toBe(Number.isNaN(at) ? now : at);
  },
);

describe("the discovery document", () => {
  const evil = "http://169.254.169.254/latest";

  test.each([
    ["another issuer's", { issuer: "https://evil.example.com" }, "login.company"],
    ["one with a plain address to log in at", { authorization_endpoint: evil }, "login.provider"],
    [
      "one with a script to log in at",
      { authorization_endpoint: "javascript:x" },
      "login.provider",
    ],
    ["one with nowhere to log in at", { authorization_endpoint: undefined }, "login.provider"],
  ])("of the provider, if it is %s, sends nobody anywhere", async (_what, document, code) => {
    provider.document = document;
    expect((await refusalOf(company.ask(false))).code).toBe(code);
  });

  test.each([
    ["for tokens", { token_endpoint: evil }],
    ["of keys", { jwks_uri: evil }],
    ["of what it knows of a person", { userinfo_endpoint: evil }],
    ["of keys, in a file", { jwks_uri: "file:///etc/passwd" }],
  ])(
    "with a plain address %s makes this server call nobody",
    async (_what, document) => {
      provider.document = document;
      provider.idToken = { groups: undefined };
      expect((await refusalOf(logIn())).code).toBe("login.provider");
      const logout = company.verifyLogout(provider.logoutToken({ sub: "s-1" }));
      expect(await logout.then(({ subject }) => subject).catch(() => "refused")).toBe(
        "jwks_uri" in document ? "refused" : `${scriptedIssuer} s-1`,
      );
      expect(provider.asked.filter((path) => !path.startsWith("/"))).toEqual([]);
    },
    10_000,
  );

  test.each(["/.well-known/openid-configuration", "/token", "/keys"])(
    "and the answers behind it are taken from where they are: no redirect of %s is followed",
    async (path) => {
      const headers = { location: "https://10.0.0.1/admin" };
      provider.answers = { [path]: async () => new Response(null, { status: 302, headers }) };
      expect((await refusalOf(logIn())).code).toBe("login.provider");
      expect(provider.asked.filter((each) => !each.startsWith("/"))).toEqual([]);
    },
  );

  test("is fetched once by all who wait for it, and anew by the next after a failure", async () => {
    provider.answers = {
      "/.well-known/openid-configuration": async () => new Response("down", { status: 502 }),
    };
    const both = await Promise.all([refusalOf(company.ask(false)), refusalOf(company.ask(false))]);
    expect(both.map(({ code }) => code)).toEqual(["login.provider", "login.provider"]);
    expect(provider.asked).toHaveLength(1);
    provider.answers = {};
    expect((await company.ask(false)).url.origin).toBe(scriptedIssuer);
  });
});

describe("a provider that is slow or talks too much", () => {
  const paths = ["/.well-known/openid-configuration", "/token", "/keys"];

  test.each(paths)("is given up: %s", async (path) => {
    provider.answers = { [path]: hang };
    expect(await refusalOf(logIn())).toMatchObject({
      code: "login.provider",
      message: "The company's login is too slow.",
    });
  });

  test.each(paths)("drop by drop is given up, too: %s", async (path) => {
    provider.answers = {
      [path]: async (signal) =>
        new Response(
          new ReadableStream({
            start(controller) {
              controller.enqueue(new TextEncoder().encode("{"));
              signal?.addEventListener("abort", () => controller.error(signal.reason));
            },
          }),
          { headers: { "content-type": "application/json" } },
        ),
    };
    expect((await refusalOf(logIn())).code).toBe("login.provider");
  });

  test.each(paths)("is not listened to for longer than a megabyte: %s", async (path) => {
    let sent = 0;
    provider.answers = {
      [path]: async () =>
        new Response(
          new ReadableStream({
            pull(controller) {
              sent += 65_536;
              controller.enqueue(new Uint8Array(65_536).fill(32));
            },
          }),
          { headers: { "content-type": "application/json" } },
        ),
    };
    expect((await refusalOf(logIn())).code).toBe("login.provider");
    expect(sent).toBeLessThan(4 * 1024 * 1024);
  });
});

test.each([
  ["invalid_client", "invalid_client"],
  ["invalid_grant", "invalid_grant"],
  ["\u001b[2Jcall 0800-EVIL", "an error"],
])(
  "a provider that answers this server with %j is quoted as far as the standard goes",
  async (error, shown) => {
    provider.answers = {
      "/token": async () => Response.json({ error, error_description: "x" }, { status: 400 }),
    };
    const refusal = await refusalOf(logIn());
    expect(refusal).toMatchObject({
      code: "login.provider",
      message: `The company's login answered this server with ${shown}.`,
    });
  },
);

describe("when the provider changes its keys", () => {
  test("logins and logouts signed by the new one are taken, and by the old one no more", async () => {
    const start = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now: start });
    await logIn();
    const [old] = provider.keys;
    await company.verifyLogout(provider.logoutToken({ sub: "s-1" }));
    provider.keys = [createKey("second")];
    vi.setSystemTime(start + 61_000);
    await logIn();
    await company.verifyLogout(provider.logoutToken({ sub: "s-1" }));
    provider.signing = { key: old ?? createKey("lost") };
    expect((await refusalOf(logIn())).code).toBe("login.company");
    const stale = provider.logoutToken({ sub: "s-1" }, provider.signing);
    await expect(company.verifyLogout(stale)).rejects.toThrow();
  });

  test("at another address, the next look at its document finds them", async () => {
    const start = Date.now();
    vi.useFakeTimers({ toFake: ["Date"], now: start });
    await company.verifyLogout(provider.logoutToken({ sub: "s-1" }));
    provider.document = { jwks_uri: `${scriptedIssuer}/moved` };
    const keys = [createKey("second")];
    provider.keys = keys;
    const moved = keys.map(({ publicKey, kid }) => ({
      ...publicKey.export({ format: "jwk" }),
      kid,
    }));
    provider.answers = {
      "/moved": async () => Response.json({ keys: moved }),
      "/keys": async () => new Response("", { status: 404 }),
    };
    vi.setSystemTime(start + 3_600_001);
    expect(await company.verifyLogout(provider.logoutToken({ sid: "x" }))).toMatchObject({
      session: "x",
    });
  });
});
