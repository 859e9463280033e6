// Peers that resume wrongly: what they say about streams is checked, never believed.

import type { Frame } from "@jitdb/shared/tunnel/frame";
import { tunnelLimits } from "@jitdb/shared/tunnel/limits";
import { encodeMap } from "@jitdb/shared/tunnel/maps";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type Carrier, carriers } from "./carriers.ts";
import { RawPeer } from "./raw-peer.ts";

const { maxWindowBytes } = tunnelLimits;

const report = (stream: number, received: number, limit = 65_536): Frame => ({
  type: "RESUME",
  stream,
  isOpened: true,
  received,
  limit,
});
const data: Frame = { type: "DATA", stream: 1, position: 0, body: Uint8Array.of(1) };
const open: Frame = {
  type: "OPEN",
  stream: 3,
  payload: encodeMap("OPEN", {
    engine: "postgres",
    kind: "session",
    grant: "grt_1",
    startup: Uint8Array.of(0),
  }),
};

/** How many streams the agent announces, what follows its HELLO, and how its tunnel ends. The gateway has sent 10 bytes of stream 1, and 4 were acknowledged. */
const hostile: readonly (readonly [string, number, readonly Frame[], string])[] = [
  ["claims bytes that were never sent", 1, [report(1, 11)], "tunnel.protocol"],
  ["wants bytes again that it acknowledged", 1, [report(1, 3)], "tunnel.protocol"],
  ["acknowledges a CLOSE that was never sent", 1, [report(1, 2 ** 53 - 1)], "tunnel.protocol"],
  [
    "takes more credit than there is",
    1,
    [report(1, 10, 10 + maxWindowBytes + 1)],
    "tunnel.protocol",
  ],
  ["lists a stream twice", 2, [report(1, 10), report(1, 10)], "tunnel.protocol"],
  ["lists more streams than it announced", 1, [report(1, 10), report(3, 0)], "tunnel.protocol"],
  ["sends DATA before its list is complete", 2, [report(1, 10), data], "tunnel.protocol"],
  ["opens a stream before its list is complete", 1, [open], "tunnel.protocol"],
  ["sends bytes again that had come", 1, [report(1, 10), data], "tunnel.protocol"],
];

describe.each(Object.keys(carriers))("over %s", (name) => {
  let carrier: Carrier;
  let peer: RawPeer;
  beforeAll(async () => {
    carrier = await (carriers[name]?.() ?? Promise.reject(new Error(name)));
  });
  afterEach(() => peer?.close());
  afterAll(() => carrier?.close());

  /** A gateway with stream 1 open: one byte has come, ten were sent, four acknowledged. */
  async function meet(): Promise<void> {
    peer = await RawPeer.meet(carrier, "gateway");
    peer.open(1);
    await peer.frame("OPENED");
    peer.send(data);
    peer.endpoint.do((session) => session.write(1, new Uint8Array(10)));
    await peer.frame("DATA");
    peer.send({ type: "ACK", stream: 1, position: 4 });
    await peer.settle();
  }

  it.each(hostile)(
    "an agent that %s is told why, and loses its tunnel (invariant 11)",
    async (_what, count, frames, code) => {
      await meet();
      await peer.resume(carrier, count);
      peer.send(...frames);
      expect(await peer.end()).toBe(code);
      expect(peer.endpoint.session.streamCount).toBe(0);
    },
  );

  it("what is missing is sent again, and nothing else", async () => {
    await meet();
    await peer.resume(carrier, 1);
    peer.send(report(1, 7));
    const again = await peer.frame("DATA");
    expect([again.position, again.body.byteLength]).toEqual([7, 3]);
    const said = await peer.frame("RESUME");
    expect(said).toMatchObject({ stream: 1, isOpened: true, received: 1 });
    expect(await peer.end()).toBeUndefined();
  });

  it("a stream that the agent does not list is lost, and its end is heard", async () => {
    await meet();
    await peer.resume(carrier, 0);
    await peer.settle();
    expect(peer.events).toContainEqual(
      expect.objectContaining({
        type: "reset",
        stream: 1,
        reset: expect.objectContaining({ code: "tunnel.lost" }),
      }),
    );
    expect(peer.endpoint.session.streamCount).toBe(0);
    expect(await peer.end()).toBeUndefined();
  });

  it("reports of streams that never were cost nothing, however many are announced (invariant 11)", async () => {
    await meet();
    await peer.resume(carrier, 100_001);
    for (let first = 0; first < 100_000; first += 10_000) {
      peer.send(...Array.from({ length: 10_000 }, (_, n) => report(2 * (first + n) + 3, 0)));
    }
    peer.send(report(1, 10));
    expect(await peer.end()).toBeUndefined();
    expect(peer.events).toContainEqual({ type: "resumed", lost: 0 });
  });

  it("a new connection takes over from one that still seems alive", async () => {
    await meet();
    const old = peer.frames.length;
    await peer.resume(carrier, 1, { keepsOld: true });
    peer.send(report(1, 10));
    peer.endpoint.do((session) => session.write(1, Uint8Array.of(5)));
    const next = await peer.frame("DATA");
    expect(next.position).toBe(10);
    expect(peer.oldFrames).toHaveLength(old);
    expect(await peer.end()).toBeUndefined();
  });
});
