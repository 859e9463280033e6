// The whole login, by a standard OAuth client that knows nothing but the server's address, and a browser.

import * as client from "openid-client";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type IdentityServer,
  password,
  startIdentityServer,
} from "../../packages/server/src/identity/identity-fixture.ts";
import { Browser } from "../support/browser.ts";

let server: IdentityServer;
beforeAll(async () => {
  server = await startIdentityServer();
});
afterAll(() => server.close());

test("a standard client logs in with nothing but the address", async () => {
  const address = new URL(server.url);
  const issuer = await client.discovery(address, "unknown yet", undefined, client.None(), {
    execute: [client.allowInsecureRequests],
  });
  const announced = issuer.serverMetadata()["jitdb_client_id"];
  const configuration = new client.Configuration(
    issuer.serverMetadata(),
    String(announced),
    undefined,
    client.None(),
  );
  client.allowInsecureRequests(configuration);
  const DPoP = client.getDPoPHandle(configuration, await client.randomDPoPKeyPair("ES256"));

  const started = await client.initiateDeviceAuthorization(configuration, {
    scope: "openid offline_access",
    device_label: "jitdb on alice-laptop (linux)",
  });
  expect(started.user_code).toMatch(/^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$/);
  expect(started.verification_uri).toBe(`${server.url}/device`);
  expect(started.device_code.length).toBeGreaterThanOrEqual(43);

  const polling = client.pollDeviceAuthorizationGrant(configuration, started, undefined, { DPoP });

  const browser = new Browser();
  const entry = await browser.open(started.verification_uri);
  const login = await browser.press(entry, /continue/i, { user_code: started.user_code });
  const confirm = await browser.press(login, /log in/i, { name: "alice", password });
  expect(confirm.text).toContain(started.user_code);
  expect(confirm.text).toContain("jitdb on alice-laptop (linux)");
  expect(confirm.text).toContain("127.0.0.1");
  expect(confirm.text).toContain("jitdb command line");
  const done = await browser.press(confirm, /yes/i);
  expect(done.text).toContain("You are logged in");

  const tokens = await polling;
  expect(tokens.token_type).toBe("dpop");
  expect(tokens.expires_in).toBe(600);
  const answer = await client.fetchProtectedResource(
    configuration,
    tokens.access_token,
    new URL(`${server.url}/api/v1/me`),
    "GET",
    undefined,
    undefined,
    { DPoP },
  );
  expect(answer.status).toBe(200);
  expect(await answer.json()).toMatchObject({
    name: "alice",
    groups: ["developers"],
    deviceLabel: "jitdb on alice-laptop (linux)",
    deviceConfirmed: false,
  });

  const refreshed = await client.refreshTokenGrant(
    configuration,
    tokens.refresh_token ?? "",
    undefined,
    { DPoP },
  );
  expect(refreshed.refresh_token).not.toBe(tokens.refresh_token);

  await client.tokenRevocation(configuration, refreshed.refresh_token ?? "");
  await expect(
    client.refreshTokenGrant(configuration, refreshed.refresh_token ?? "", undefined, { DPoP }),
  ).rejects.toMatchObject({ error: "invalid_grant" });
  expect(server.events.map((event) => event.kind)).toEqual(
    expect.arrayContaining(["device.seen", "login.succeeded", "login.logged_out"]),
  );
  expect(server.errors).toEqual([]);
});
