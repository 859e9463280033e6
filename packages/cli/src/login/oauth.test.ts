import { Secret } from "@jitdb/shared/secret";
import { beforeAll, describe, expect, it } from "vitest";
import { testNow } from "../fakes.ts";
import { OAuth } from "./oauth.ts";
import { generateDeviceKey } from "./proof.ts";

const issuer = "https://jitdb.example.com";
const metadata = {
  issuer,
  device_authorization_endpoint: `${issuer}/oauth/device`,
  token_endpoint: `${issuer}/oauth/token`,
  revocation_endpoint: `${issuer}/oauth/revoke`,
  jitdb_client_id: "the-cli",
};
const started = {
  device_code: "device-code",
  user_code: "ABCD-EFGH",
  verification_uri: `${issuer}/device`,
  verification_uri_complete: `${issuer}/device?code=ABCDEFGH`,
  expires_in: 600,
  interval: 5,
};
const tokens = {
  access_token: "access",
  refresh_token: "refresh",
  token_type: "DPoP",
  expires_in: 300,
};
const signal = new AbortController().signal;

let key: Secret;
beforeAll(async () => {
  key = await generateDeviceKey();
});

interface Reply {
  readonly status?: number;
  readonly body: unknown;
  readonly headers?: Record<string, string>;
}

/** An authorization server of canned answers; records what it was sent. */
function createOAuth(replies: Reply[], discovery: Reply = { body: metadata }) {
  const sent: { path: string; form: Record<string, string>; proof: string | null }[] = [];
  const pauses: number[] = [];
  const oauth = new OAuth(issuer, {
    network: {
      fetch: (url, init) => {
        const { pathname } = new URL(url);
        const request = new Request(url, init as RequestInit);
        if (pathname === "/.well-known/oauth-authorization-server") {
          return Promise.resolve(respond(discovery));
        }
        return request.text().then((text) => {
          const form = Object.fromEntries(new URLSearchParams(text));
          sent.push({ path: pathname, form, proof: request.headers.get("dpop") });
          const next = replies.shift();
          return next === undefined ? Promise.reject(new Error("no more")) : respond(next);
        });
      },
    },
    clock: { now: () => testNow },
    pause: (ms) => {
      pauses.push(ms);
      return Promise.resolve();
    },
  });
  return { oauth, sent, pauses };
}

function respond({ status = 200, body, headers = {} }: Reply): Response {
  const all = { "content-type": "application/json", ...headers };
  return new Response(JSON.stringify(body), { status, headers: all });
}

const failure = (error: string): Reply => ({ status: 400, body: { error } });

describe("device login", () => {
  it("needs the server's address alone, and sends scope, client and the device's label", async () => {
    const { oauth, sent } = createOAuth([{ body: started }]);
    expect(await oauth.start("alice-laptop (linux)")).toMatchObject({
      verificationUri: `${issuer}/device`,
      verificationUriComplete: `${issuer}/device?code=ABCDEFGH`,
      userCode: "ABCD-EFGH",
      expiresAt: testNow + 600_000,
    });
    expect(sent).toEqual([
      {
        path: "/oauth/device",
        form: {
          scope: "openid offline_access",
          device_label: "alice-laptop (linux)",
          client_id: "the-cli",
        },
        proof: null,
      },
    ]);
  });

  it("asks at once, then at the server's pace, and slows down when told to", async () => {
    const { oauth, sent, pauses } = createOAuth([
      { body: started },
      failure("authorization_pending"),
      failure("slow_down"),
      { body: tokens },
    ]);
    const login = await oauth.finish(await oauth.start("x"), key, signal);
    expect(pauses).toEqual([5000, 10_000]);
    expect(login.refreshToken?.reveal()).toBe("refresh");
    expect(login.accessTokenExpiresAt).toBe(testNow + 300_000);
    expect(login.clientId).toBe("the-cli");
    expect(sent.slice(1).every((each) => each.proof !== null)).toBe(true);
  });

  it.each([
    ["access_denied", "login.denied"],
    ["expired_token", "login.expired"],
  ])("ends at %s with %s", async (error, code) => {
    const { oauth } = createOAuth([{ body: started }, failure(error)]);
    await expect(oauth.finish(await oauth.start("x"), key, signal)).rejects.toMatchObject({ code });
  });

  it("gives up when the code's time would be over before the next question", async () => {
    const short = { ...started, expires_in: 5 };
    const { oauth } = createOAuth([{ body: short }, failure("authorization_pending")]);
    await expect(oauth.finish(await oauth.start("x"), key, signal)).rejects.toMatchObject({
      code: "login.expired",
    });
  });

  it("proves with the nonce that the server wants", async () => {
    const nonce = {
      status: 400,
      body: { error: "use_dpop_nonce" },
      headers: { "dpop-nonce": "n" },
    };
    const { oauth, sent } = createOAuth([{ body: started }, nonce, { body: tokens }]);
    await oauth.finish(await oauth.start("x"), key, signal);
    const claims = Buffer.from(sent[2]?.proof?.split(".")[1] ?? "", "base64url").toString();
    expect(JSON.parse(claims)).toMatchObject({ nonce: "n" });
  });

  it("names a clock that is wrong when the proof is refused (invariant 3)", async () => {
    const date = new Date(testNow + 420_000).toUTCString();
    const refused = { ...failure("invalid_dpop_proof"), headers: { date } };
    const { oauth } = createOAuth([{ body: started }, refused]);
    await expect(oauth.finish(await oauth.start("x"), key, signal)).rejects.toMatchObject({
      code: "login.proof",
      message:
        "The server does not accept this device's proof. This machine's clock is 7m behind the server's.",
    });
  });
});

describe("discovery", () => {
  it.each([
    ["a server of something else", { status: 404, body: {} }],
    ["an answer that names another issuer", { body: { ...metadata, issuer: "https://other" } }],
    ["no metadata at all", { body: "x" }],
  ])("refuses %s", async (_name, discovery) => {
    const { oauth } = createOAuth([], discovery);
    await expect(oauth.start("x")).rejects.toMatchObject({ code: "server.unsuitable" });
  });
});

describe("an existing login", () => {
  const login = {
    refreshToken: new Secret("old"),
    accessToken: null,
    accessTokenExpiresAt: 0,
    clientId: "of-then",
  };

  it("is refreshed with its own client and key (invariant 4)", async () => {
    const { oauth, sent } = createOAuth([{ body: tokens }]);
    const refreshed = await oauth.refresh({ ...login, key });
    expect(refreshed.refreshToken?.reveal()).toBe("refresh");
    expect(sent[0]?.form).toEqual({
      refresh_token: "old",
      grant_type: "refresh_token",
      client_id: "of-then",
    });
  });

  it("keeps its refresh token where the server does not rotate it", async () => {
    const { refresh_token: _none, ...unrotated } = tokens;
    const { oauth } = createOAuth([{ body: unrotated }]);
    expect((await oauth.refresh({ ...login, key })).refreshToken?.reveal()).toBe("old");
  });

  it("is over when the server says so", async () => {
    const { oauth } = createOAuth([failure("invalid_grant")]);
    await expect(oauth.refresh({ ...login, key })).rejects.toMatchObject({ code: "login.expired" });
  });

  it("is ended on the server by its refresh token", async () => {
    const { oauth, sent } = createOAuth([{ body: {} }]);
    await oauth.revoke({ ...login, key });
    expect(sent[0]).toMatchObject({ path: "/oauth/revoke", form: { token: "old" } });
  });
});
