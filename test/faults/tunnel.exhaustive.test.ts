// Whoever is logged in and sends garbage through the tunnel loses that tunnel, on record, and nobody else loses anything.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TestDevice } from "../identity/device.ts";
import { Journal } from "../support/journal.ts";
import { tunnelFaults } from "./groups/tunnel.ts";
import { hello, openFrame, TunnelPeer } from "./tunnel-peer.ts";
import { askToRead, jitdbWorld, type World } from "./world.ts";

/** The server looks for silent agents every 20 s and gives them 15. */
const silenceMs = 60_000;

let world: World;
let device: TestDevice;
let accessToken: string;
let liveGrant: string;
let revokedGrant: string;
beforeAll(async () => {
  world = await jitdbWorld.open();
  const { installation, alice } = world;
  device = new TestDevice(installation.url);
  accessToken = (await device.logIn("alice", alice.password)).access_token;
  revokedGrant = await askToRead(alice);
  await alice.expect(["revoke", revokedGrant]);
  liveGrant = await askToRead(alice);
});
afterAll(() => jitdbWorld.close(world));

async function connect(): Promise<TunnelPeer> {
  return await TunnelPeer.connect(world.installation.url, device, accessToken);
}

/** Whether the server still answers, and still opens tunnels to the same person. */
async function serverGoesOn(): Promise<void> {
  expect((await device.call(accessToken)).status).toBe(200);
  (await connect()).cut();
}

describe("a peer of the tunnel that (invariants 11, 27)", () => {
  it.concurrent.for(tunnelFaults)(
    "$condition",
    { timeout: silenceMs },
    async ({ act, reads, closes, record = reads[0]?.replace("GOAWAY ", "") }, context) => {
      const peer = await connect();
      act(peer);
      const outcome = await peer.outcome();
      context.expect(outcome).toEqual({ reads, closes });
      await serverGoesOn();
      const journal = await Journal.read(world.installation.serverFolder);
      const reasons = journal.of("tunnel.closed").map(({ reason }) => reason);
      context.expect(reasons).toContain(record);
    },
  );

  it.concurrent("asks for somebody else's grant is told that there is none", async (context) => {
    const { installation, dave } = world;
    const stranger = new TestDevice(installation.url);
    const { access_token } = await stranger.logIn("dave", dave.password);
    const peer = await TunnelPeer.connect(installation.url, stranger, access_token);
    peer.send(Buffer.concat([hello(), openFrame(1, liveGrant)]));
    context
      .expect(await peer.answer())
      .toBe(`RESET grant.unknown: You have no grant ${liveGrant}.`);
    peer.cut();
  });

  it.concurrent("asks for a grant that is over is told how it ended", async (context) => {
    const peer = await connect();
    peer.send(Buffer.concat([hello(), openFrame(1, revokedGrant)]));
    const told = "RESET grant.revoked: The grant for prod-orders was revoked.";
    context.expect(await peer.answer()).toBe(told);
    peer.cut();
  });

  it.concurrent("asks from a device that nobody has vouched for gets nothing", async (context) => {
    const peer = await connect();
    peer.send(Buffer.concat([hello(), openFrame(1, liveGrant)]));
    const told = "RESET device.unconfirmed: Nobody has confirmed this device yet.";
    context.expect(await peer.answer()).toBe(told);
    peer.cut();
  });
});
