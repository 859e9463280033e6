import { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";
import { beforeAll, describe, expect, it } from "vitest";
import { testNow } from "../fakes.ts";
import type { Login } from "./credentials.ts";
import { generateDeviceKey } from "./proof.ts";
import { StoredTokens } from "./tokens.ts";

let key: Secret;
beforeAll(async () => {
  key = await generateDeviceKey();
});

function login(token: string, leftMs: number): Login {
  return {
    key,
    refreshToken: new Secret(`refresh ${token}`),
    accessToken: new Secret(token),
    accessTokenExpiresAt: testNow + leftMs,
    clientId: "jitdb-cli",
  };
}

function createTokens(stored: (Login | undefined)[], refresh: (old: Login) => Promise<Login>) {
  const updates: Login[] = [];
  const tokens = new StoredTokens("https://jitdb.example.com", {
    credentials: {
      read: () => Promise.resolve(stored.length > 1 ? stored.shift() : stored[0]),
      update: (_server, updated) => {
        updates.push(updated);
        return Promise.resolve();
      },
      exclusively: (work) => work(),
    },
    oauth: { refresh },
    clock: { now: () => testNow },
    random: { bytes: (count) => new Uint8Array(count) },
  });
  return { tokens, updates };
}

const mustNotRefresh = () => Promise.reject(new Error("refreshed"));
const url = "https://jitdb.example.com/api/v1/me";

describe("StoredTokens", () => {
  it("uses a token that has a minute left", async () => {
    const { tokens } = createTokens([login("a", 60_000)], mustNotRefresh);
    expect((await tokens.authorize("GET", url)).accessToken.reveal()).toBe("a");
  });

  it("refreshes one that has less, and keeps what came (invariant 4)", async () => {
    const { tokens, updates } = createTokens([login("a", 59_999)], (old) =>
      Promise.resolve({ ...login("b", 600_000), refreshToken: old.refreshToken }),
    );
    expect((await tokens.authorize("GET", url)).accessToken.reveal()).toBe("b");
    expect((await tokens.authorize("GET", url)).accessToken.reveal()).toBe("b");
    expect(updates.map((update) => update.accessToken?.reveal())).toEqual(["b"]);
  });

  it("takes what another process refreshed while this one waited for the lock (invariant 4)", async () => {
    const { tokens } = createTokens([login("old", 0), login("theirs", 600_000)], mustNotRefresh);
    expect((await tokens.authorize("GET", url)).accessToken.reveal()).toBe("theirs");
  });

  it("names the login command without a login", async () => {
    const { tokens } = createTokens([undefined], mustNotRefresh);
    await expect(tokens.authorize("GET", url)).rejects.toMatchObject({
      code: "login.required",
      hint: "Run `jitdb login https://jitdb.example.com`.",
    });
  });

  it("keeps the old login when the answer is lost, so that it can be asked for again", async () => {
    const { tokens, updates } = createTokens([login("a", 0)], () =>
      Promise.reject(new JitdbError("server.unreachable", "Lost.")),
    );
    await expect(tokens.authorize("GET", url)).rejects.toMatchObject({
      code: "server.unreachable",
    });
    expect(updates).toEqual([]);
  });
});
