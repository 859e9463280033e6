// What a hostile agent can make a gateway's session keep: everything at once that docs/tunnel-protocol.md §7 allows.

import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { TunnelEvent } from "@jitdb/shared/tunnel/events";
import { decodeFrames, encodeFrame, type Frame } from "@jitdb/shared/tunnel/frame";
import { tunnelLimits } from "@jitdb/shared/tunnel/limits";
import { encodeMap } from "@jitdb/shared/tunnel/maps";
import { TunnelSession } from "@jitdb/shared/tunnel/session";
import { expect, it } from "vitest";
import { openMap } from "./raw-peer.ts";

const megabyte = 1024 * 1024;
const { maxStreams, maxUnreadFrames, windowBytes, maxWindowBytes } = tunnelLimits;
const streams = Array.from({ length: maxStreams }, (_, n) => 2 * n + 1);
const chunkBytes = 65_536;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function usedBytes(): number {
  // Memory outside of the heap is freed behind the first.
  collectGarbage();
  collectGarbage();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** A gateway whose database sockets are stopped: what comes in is held, as a driver would. */
class Gateway {
  readonly session = new TunnelSession({ role: "gateway", software: "g" });
  readonly held: Uint8Array[] = [];
  /** Streams whose databases take everything at once. */
  readonly running = new Set<number>();
  readonly positions = new Map<number, number>();
  readonly limits = new Map<number, number>();
  nowMs = 1000;

  constructor() {
    this.take({
      type: "HELLO",
      stream: 0,
      payload: encodeMap("HELLO", { version: 1, software: "", windowBytes: maxWindowBytes }),
    });
    for (const id of streams) {
      this.limits.set(id, windowBytes);
      this.take({ type: "OPEN", stream: id, payload: encodeMap("OPEN", openMap) });
    }
    this.drain();
  }

  take(...frames: readonly Frame[]): void {
    const message = new Uint8Array(Buffer.concat(frames.map(encodeFrame)));
    for (const event of this.session.receive(message, this.nowMs)) {
      this.#hear(event);
    }
  }

  /** Sends into the void, but for what the peer needs to know to go on: credit, and PINGs, which it answers ten milliseconds later. */
  drain(): void {
    for (let chunks = this.session.takeOutput(); chunks; chunks = this.session.takeOutput()) {
      for (const frame of decodeFrames(Buffer.concat(chunks))) {
        if (frame.type === "WINDOW") {
          this.limits.set(frame.stream, frame.position);
        }
        if (frame.type === "PING") {
          this.nowMs += 10;
          this.#pongs.push({ ...frame, answer: true });
        }
      }
    }
  }

  readonly #pongs: Frame[] = [];

  /** Sends all that the gateway has given credit for, in bodies of this size, and answers its PINGs behind it. */
  fill(id: number, bodyBytes: number): void {
    const limit = this.limits.get(id) ?? 0;
    let position = this.positions.get(id) ?? 0;
    while (position < limit) {
      const body = new Uint8Array(Math.min(bodyBytes, limit - position));
      this.take({ type: "DATA", stream: id, position, body });
      position += body.byteLength;
    }
    this.positions.set(id, position);
    for (const pong of this.#pongs.splice(0)) {
      this.take(pong);
    }
    this.drain();
  }

  #hear(event: TunnelEvent): void {
    if (event.type === "open") {
      this.session.opened(event.stream, { session: "ses_1" });
    } else if (event.type === "data" && this.running.has(event.stream)) {
      this.session.consumed(event.stream, event.bytes.byteLength);
    } else if (event.type === "data") {
      this.held.push(event.bytes);
    }
  }
}

it("keeps at most 64 MB, whatever streams, frames and missing acknowledgements come together (invariant 11)", () => {
  const before = usedBytes();
  const gateway = new Gateway();
  // Some streams run until their windows have grown as far as they may, then their databases stop.
  for (const id of streams.slice(0, 4)) {
    gateway.running.add(id);
    for (let round = 0; round < 30; round += 1) {
      gateway.fill(id, chunkBytes);
    }
    gateway.running.delete(id);
    gateway.fill(id, chunkBytes);
  }
  const grown = gateway.held.reduce((sum, { byteLength }) => sum + byteLength, 0);
  expect(grown).toBeGreaterThan(12 * megabyte);
  // The others send their windows in the smallest bodies that are taken.
  const bodyBytes = Math.ceil(((maxStreams - 4) * windowBytes) / (maxUnreadFrames - 4096));
  for (const id of streams.slice(4)) {
    gateway.fill(id, bodyBytes);
  }
  // And none of them acknowledges what its database has written.
  for (const id of streams) {
    while (gateway.session.write(id, new Uint8Array(16_384))) {
      gateway.drain();
    }
  }
  const usedMegabytes = (usedBytes() - before) / megabyte;
  expect(gateway.held.length).toBeGreaterThan(25_000);
  expect(usedMegabytes).toBeLessThan(64);
});

it("keeps nothing of a tunnel that ended by ten thousand OPENs (invariant 11)", () => {
  const before = usedBytes();
  const gateway = new Gateway();
  const opens = Array.from(
    { length: 10_000 },
    (_, n): Frame => ({
      type: "OPEN",
      stream: 2 * (maxStreams + n) + 1,
      payload: encodeMap("OPEN", openMap),
    }),
  );
  expect(() => gateway.take(...opens.slice(0, 5000))).toThrow("more than 256 streams");
  gateway.take(...opens.slice(5000));
  opens.length = 0;
  expect((usedBytes() - before) / megabyte).toBeLessThan(5);
  expect(gateway.session.streamCount).toBe(0);
});
