import { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";
import { describe, expect, it } from "vitest";
import { HttpApi } from "./api.ts";
import { sampleGrant, sampleRequest, testNow } from "./fakes.ts";
import type { HttpAnswer, HttpCall } from "./network/network.ts";

function answer(status: number, body: unknown, headers: Record<string, string> = {}): HttpAnswer {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { status, text, header: (name) => headers[name] };
}

function createApi(...answers: HttpAnswer[]) {
  const calls: HttpCall[] = [];
  const nonces: string[] = [];
  const api = new HttpApi("https://jitdb.example.com", {
    network: {
      call: (call) => {
        calls.push(call);
        const next = answers.shift();
        return next === undefined ? Promise.reject(new Error("no more")) : Promise.resolve(next);
      },
    },
    tokens: {
      authorize: (method, url) =>
        Promise.resolve({ accessToken: new Secret("token"), proof: `${method} ${url} ${nonces}` }),
      useNonce: (nonce) => nonces.push(nonce),
    },
    openWebSocket: () => Promise.reject(new JitdbError("server.unreachable", "none")),
    clock: { now: () => testNow },
  });
  return { api, calls };
}

const refusal = (code: string) => ({ error: { code, message: "No.", hint: "Do that." } });

describe("HttpApi", () => {
  it("sends the query, the token and a proof, and checks the answer", async () => {
    const list = { grants: [sampleGrant()], next: null };
    const { api, calls } = createApi(answer(200, list));
    expect(await api.grants({ scope: "mine", state: "active", limit: 5 })).toEqual(list);
    const url = "https://jitdb.example.com/api/v1/grants?scope=mine&state=active&limit=5";
    expect(calls.map((call) => ({ ...call, url: call.url.href }))).toEqual([
      {
        method: "GET",
        url,
        headers: {
          accept: "application/json",
          authorization: "DPoP token",
          dpop: `GET ${url} `,
        },
        body: undefined,
      },
    ]);
  });

  it("posts JSON, and nothing of an id can leave its place in the path", async () => {
    const { api, calls } = createApi(answer(200, sampleRequest()));
    await api.approve("../me", { comment: "ok", durationSeconds: 60 });
    expect(calls[0]?.url.pathname).toBe("/api/v1/requests/..%2Fme/approve");
    expect(calls[0]?.body).toBe('{"comment":"ok","durationSeconds":60}');
  });

  it("keeps code, message and hint of a refusal", async () => {
    const { api } = createApi(answer(403, refusal("policy.no_match")));
    await expect(api.databases()).rejects.toMatchObject({
      code: "policy.no_match",
      message: "No.",
      hint: "Do that.",
    });
  });

  it.each([
    [answer(502, "<html>"), "https://jitdb.example.com answered 502."],
    [answer(400, refusal("of.tomorrow")), "https://jitdb.example.com answered 400: No."],
    [answer(200, { grants: 7 }), "https://jitdb.example.com gave an answer of another form."],
    [answer(200, "no json"), "https://jitdb.example.com gave an answer of another form."],
  ])("takes an answer that is not ours for an unsuitable server", async (given, message) => {
    const { api } = createApi(given);
    const query = { scope: "mine" } as const;
    await expect(api.grants(query)).rejects.toMatchObject({ code: "server.unsuitable", message });
  });

  it("names a clock that is wrong when a proof is refused (invariant 3)", async () => {
    const date = new Date(testNow - 420_000).toUTCString();
    const { api } = createApi(answer(401, refusal("login.proof"), { date }));
    await expect(api.me()).rejects.toMatchObject({
      code: "login.proof",
      message: "No. This machine's clock is 7m ahead of the server's.",
    });
  });

  it("tries again once with the nonce that the server wants", async () => {
    const nonce = { "dpop-nonce": "n1" };
    const { api, calls } = createApi(
      answer(401, refusal("login.proof"), nonce),
      answer(200, sampleGrant()),
    );
    await api.grant("grt_1");
    expect(calls.map((call) => call.headers["dpop"]?.split(" ").at(-1))).toEqual(["", "n1"]);
  });
});
