import { type ApiError, apiError } from "@jitdb/shared/api/wire";
import { JitdbError } from "@jitdb/shared/errors";
import type { DeviceId, PersonId } from "@jitdb/shared/ids";
import type { FastifyInstance } from "fastify";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AccessService } from "../access/service.ts";
import type { Authenticator, Credentials } from "../identity/authenticator.ts";
import type { Caller } from "../identity/caller.ts";
import type { Vouching } from "../identity/vouching.ts";
import { createLogger } from "../logger.ts";
import { openMemoryStore, type Store } from "../store/store.ts";
import { createApp } from "./app.ts";

const alice: Caller = {
  personId: "usr_alice" as PersonId,
  name: "alice",
  groups: ["developers"],
  administrator: false,
  deviceId: "device-a" as DeviceId,
  deviceLabel: "laptop",
  deviceConfirmed: true,
  tokenExpiresAt: 60_000,
  address: "127.0.0.1",
};

let caller: Caller | JitdbError;
let seen: Credentials[];
let log: string[];
let store: Store;
let app: FastifyInstance;
/** What the fake access service does when it is asked for a grant. */
let getGrant: () => Promise<never>;

const authenticator: Authenticator = {
  async authenticate(credentials) {
    seen.push(credentials);
    if (caller instanceof JitdbError) {
      throw caller;
    }
    return caller;
  },
};

beforeEach(async () => {
  caller = alice;
  seen = [];
  log = [];
  getGrant = async () => {
    throw new JitdbError("grant.unknown", "There is no grant x that you may see.");
  };
  store = await openMemoryStore();
  const access: Partial<AccessService> = {
    databasesFor: async () => [],
    getGrant: () => getGrant(),
  };
  app = await createApp({
    shipper: { catchUp: async () => undefined },
    gateway: { parkedSessions: () => new Set(), rowsWritten: async () => undefined },
    config: { publicUrl: "https://jitdb.example.com", trustedProxies: ["10.0.0.0/8"] },
    logger: createLogger({ write: (line) => log.push(line) }, "json"),
    clock: { now: () => 1000 },
    random: { bytes: (count) => new Uint8Array(count).fill(1) },
    version: "1.2.3",
    authenticator,
    access: access as AccessService,
    vouching: {} as Vouching,
    store,
    journal: { id: "jrn_1", failed: false },
    login: async (scope) => {
      scope.get("/setup/:token", async () => "a page");
    },
  });
});

afterEach(async () => {
  await app.close();
  await store.close();
});

function errorOf(response: { json(): unknown }): ApiError["error"] {
  return apiError.parse(response.json()).error;
}

describe("the API", () => {
  it("tells who is calling", async () => {
    const response = await app.inject("/api/v1/me");
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({
      person: "alice",
      groups: ["developers"],
      administrator: false,
      device: { id: "device-a", label: "laptop", confirmed: true },
      tokenExpiresAt: "1970-01-01T00:01:00.000Z",
      server: { version: "1.2.3", time: "1970-01-01T00:00:01.000Z" },
    });
    expect(response.headers["cache-control"]).toBe("no-store");
  });

  it("authenticates against the public URL without the query, whatever Host says (invariant 3)", async () => {
    await app.inject({
      url: "/api/v1/databases?x=1",
      headers: { host: "evil.example", authorization: "DPoP t", dpop: "p" },
    });
    expect(seen).toEqual([
      {
        method: "GET",
        url: "https://jitdb.example.com/api/v1/databases",
        authorization: "DPoP t",
        proof: "p",
        address: "127.0.0.1",
      },
    ]);
  });

  it("believes X-Forwarded-For from trusted proxies only, from the right", async () => {
    const headers = { "x-forwarded-for": "6.6.6.6, 203.0.113.9, 10.1.1.1" };
    await app.inject({ url: "/api/v1/me", headers, remoteAddress: "10.2.2.2" });
    await app.inject({ url: "/api/v1/me", headers, remoteAddress: "192.0.2.7" });
    expect(seen.map(({ address }) => address)).toEqual(["203.0.113.9", "192.0.2.7"]);
  });

  it("refuses a call without a login, with a challenge", async () => {
    caller = new JitdbError("login.required", "The call carries no login.");
    const response = await app.inject("/api/v1/me");
    expect(response.statusCode).toBe(401);
    expect(response.headers["www-authenticate"]).toMatch(/^DPoP algs="ES256/);
    expect(errorOf(response)).toMatchObject({ code: "login.required", hint: "Run `jitdb login`." });
  });

  it("refuses before it reads a body", async () => {
    caller = new JitdbError("login.required", "The call carries no login.");
    const response = await app.inject({
      method: "POST",
      url: "/api/v1/requests",
      headers: { "content-type": "application/json" },
      payload: "{",
    });
    expect(errorOf(response).code).toBe("login.required");
  });
});

describe("the error border", () => {
  it("gives an error in the catalogue's form, with the request's id", async () => {
    const response = await app.inject("/api/v1/grants/x");
    expect(response.statusCode).toBe(404);
    expect(response.json()).toEqual({
      error: {
        code: "grant.unknown",
        message: "There is no grant x that you may see.",
        hint: "List yours with `jitdb grants`.",
        requestId: "111111111111",
      },
    });
  });

  it("keeps what went wrong inside for the log", async () => {
    getGrant = async () => {
      throw new Error("connect ECONNREFUSED db.internal:5432 as jitdb_admin");
    };
    const response = await app.inject("/api/v1/grants/x");
    expect(response.statusCode).toBe(500);
    expect(errorOf(response).code).toBe("internal");
    expect(response.body).not.toMatch(/db\.internal|jitdb_admin|stack/);
    expect(log.join("")).toContain("db.internal");
  });

  it("names the field that is not valid", async () => {
    const response = await app.inject({
      method: "POST",
      url: "/api/v1/requests",
      payload: { database: "orders", durationSeconds: -5 },
    });
    expect(response.statusCode).toBe(400);
    expect(errorOf(response)).toMatchObject({
      code: "usage.invalid",
      message: expect.stringMatching(/^durationSeconds: /),
    });
  });

  it.each([
    ["a path that is not there", "GET", "/api/v1/nope", 404, "api.unknown"],
    ["a path that is not there at the root", "GET", "/nope", 404, "api.unknown"],
    ["a method that a path does not take", "DELETE", "/api/v1/grants/x", 405, "api.method"],
    ["a URL that is none", "GET", "/api/v1/%zz", 400, "usage.invalid"],
  ] as const)("answers %s in the same form", async (_name, method, url, status, code) => {
    const response = await app.inject({ method, url });
    expect(response.statusCode).toBe(status);
    expect(errorOf(response).code).toBe(code);
  });

  it("says which methods a path takes", async () => {
    const response = await app.inject({ method: "PUT", url: "/api/v1/requests?x" });
    expect(response.headers["allow"]).toBe("GET, HEAD, POST");
  });

  it.each([
    ["no JSON", "application/json", "{", 400],
    ["another type", "text/xml", "<a/>", 415],
    ["too large", "application/json", JSON.stringify("x".repeat(70_000)), 413],
  ])("refuses a body that is %s", async (_name, type, payload, status) => {
    const response = await app.inject({
      method: "POST",
      url: "/api/v1/requests",
      headers: { "content-type": type },
      payload,
    });
    expect(response.statusCode).toBe(status);
    expect(errorOf(response).code).toBe("usage.invalid");
  });
});

describe("the audit route", () => {
  it("refuses others' records to whoever is no administrator", async () => {
    const response = await app.inject("/api/v1/audit?person=bob");
    expect(response.statusCode).toBe(403);
    expect(errorOf(response).code).toBe("access.forbidden");
  });

  it("gives one's own", async () => {
    const line = JSON.stringify({ seq: 1, at: "2026-01-01T00:00:00.000Z", kind: "setup.used" });
    for (const [seq, person] of [
      [1, "alice"],
      [2, "bob"],
    ] as const) {
      await store.db
        .insertInto("audit_records")
        .values({
          journal: "jrn_1",
          seq,
          at: 1,
          kind: "setup.used",
          person,
          database_name: null,
          grant_id: null,
          session_id: null,
          line,
        })
        .execute();
    }
    const response = await app.inject("/api/v1/audit");
    expect(response.json()).toMatchObject({ records: [{ seq: 1 }], next: null });
  });
});

describe("the log", () => {
  it("has a line for each answer and no secret in it (invariant 37)", async () => {
    await app.inject({
      url: "/setup/canary-token?code=canary-query",
      headers: { authorization: "DPoP canary-auth", dpop: "canary-proof", cookie: "a=canary" },
    });
    await app.inject("/api/v1/canary-path");
    expect(log.map((line) => JSON.parse(line))).toMatchObject([
      { method: "GET", route: "/setup/:token", status: 200 },
      { method: "GET", route: "(unknown)", status: 404 },
    ]);
    expect(log.join("")).not.toContain("canary");
  });
});

describe("/healthz", () => {
  it("works without a login", async () => {
    const response = await app.inject("/healthz");
    expect([response.statusCode, response.json()]).toEqual([200, { ok: true }]);
    expect(seen).toEqual([]);
  });
});

it("sends the headers that keep browsers from helping an attacker", async () => {
  const { headers } = await app.inject("/healthz");
  expect(headers).toMatchObject({
    "content-security-policy": expect.stringContaining("default-src 'none'"),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "strict-transport-security": expect.stringContaining("max-age="),
  });
});
