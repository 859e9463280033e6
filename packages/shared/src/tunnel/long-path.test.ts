// Two sessions over a path of a given length and rate, in time that a test makes: how fast a stream is, and what waits in queues meanwhile.

import { describe, expect, it } from "vitest";
import { tunnelLimits } from "./limits.ts";
import { TunnelSession } from "./session.ts";

const openMap = {
  engine: "postgres",
  kind: "session" as const,
  grant: "grt_1",
  startup: Uint8Array.of(1),
};

interface PathOptions {
  readonly roundTripMs: number;
  /** In each direction. */
  readonly bytesPerMs: number;
  /** What a driver lets its WebSocket hold before the session keeps the rest. */
  readonly backlogBytes: number;
}

/** One direction: a queue that drains at the path's rate, and what is under way behind it. */
class Line {
  readonly #options: PathOptions;
  readonly #queue: Uint8Array[] = [];
  readonly #underWay: { readonly message: Uint8Array; readonly arrivesAt: number }[] = [];
  #credit = 0;
  queuedBytes = 0;

  constructor(options: PathOptions) {
    this.#options = options;
  }

  get hasRoom(): boolean {
    return this.queuedBytes < this.#options.backlogBytes;
  }

  send(message: Uint8Array): void {
    this.#queue.push(message);
    this.queuedBytes += message.byteLength;
  }

  /** One millisecond passes; gives what arrives in it. */
  pass(nowMs: number): Uint8Array[] {
    const { bytesPerMs, roundTripMs } = this.#options;
    this.#credit = this.#queue.length === 0 ? bytesPerMs : this.#credit + bytesPerMs;
    for (let first = this.#queue[0]; first; first = this.#queue[0]) {
      if (first.byteLength > this.#credit) {
        break;
      }
      this.#queue.shift();
      this.#credit -= first.byteLength;
      this.queuedBytes -= first.byteLength;
      this.#underWay.push({ message: first, arrivesAt: nowMs + roundTripMs / 2 });
    }
    const arrived: Uint8Array[] = [];
    while ((this.#underWay[0]?.arrivesAt ?? Number.POSITIVE_INFINITY) <= nowMs) {
      arrived.push(this.#underWay.shift()?.message ?? new Uint8Array(0));
    }
    return arrived;
  }
}

class Path {
  readonly agent = new TunnelSession({ role: "agent", software: "a" });
  readonly gateway = new TunnelSession({ role: "gateway", software: "g" });
  nowMs = 1000;
  readonly #up: Line;
  readonly #down: Line;
  /** Streams of which the gateway writes as much as it may. */
  readonly bulk = new Map<number, { isWritable: boolean }>();
  /** Received by the agent, per stream. */
  readonly received = new Map<number, number>();
  most = { keptBytes: 0 };

  constructor(options: PathOptions) {
    this.#up = new Line(options);
    this.#down = new Line(options);
    this.run(2 * options.roundTripMs + 10);
  }

  open(): number {
    const id = this.agent.open(openMap);
    this.run(200);
    return id;
  }

  run(ms: number): void {
    for (const end = this.nowMs + ms; this.nowMs < end; ) {
      this.nowMs += 1;
      if (this.nowMs % 1000 === 0) {
        this.agent.acknowledge();
        this.gateway.acknowledge();
      }
      this.#write();
      send(this.agent, this.#up);
      send(this.gateway, this.#down);
      this.#arrive();
      this.most.keptBytes = Math.max(this.most.keptBytes, this.gateway.bufferedBytes);
    }
  }

  #write(): void {
    for (const [id, state] of this.bulk) {
      while (state.isWritable) {
        state.isWritable = this.gateway.write(id, new Uint8Array(16_384));
      }
    }
  }

  #arrive(): void {
    const up = this.#up.pass(this.nowMs);
    for (const event of up.flatMap((message) => this.gateway.receive(message, this.nowMs))) {
      if (event.type === "open") {
        this.gateway.opened(event.stream, { session: "s" });
      } else if (event.type === "writable") {
        this.bulk.set(event.stream, { isWritable: true });
      }
    }
    // As drivers do, before a program that may go on has had its turn to write.
    send(this.gateway, this.#down);
    const down = this.#down.pass(this.nowMs);
    for (const event of down.flatMap((message) => this.agent.receive(message, this.nowMs))) {
      if (event.type === "data") {
        const { stream, bytes } = event;
        this.received.set(stream, (this.received.get(stream) ?? 0) + bytes.byteLength);
        this.agent.consumed(stream, bytes.byteLength);
      }
    }
  }
}

function send(session: TunnelSession, line: Line): void {
  while (line.hasRoom) {
    const chunks = session.takeOutput();
    if (chunks === null) {
      return;
    }
    line.send(Buffer.concat(chunks));
  }
}

/** Bytes per millisecond that a stream gets once it has warmed up. */
function steadyRate(path: Path, id: number): number {
  path.bulk.set(id, { isWritable: true });
  path.run(2000);
  const before = path.received.get(id) ?? 0;
  path.run(1000);
  return ((path.received.get(id) ?? 0) - before) / 1000;
}

describe("a bulk stream", () => {
  it.each([
    [50, 30_000],
    [50, 100_000],
    [10, 100_000],
    [150, 12_000],
  ])("fills a path of %i ms with %i bytes a millisecond", (roundTripMs, bytesPerMs) => {
    const path = new Path({ roundTripMs, bytesPerMs, backlogBytes: 262_144 });
    expect(steadyRate(path, path.open())).toBeGreaterThan(0.9 * bytesPerMs);
  });

  it("takes no more memory than its path needs", () => {
    const options = { roundTripMs: 50, bytesPerMs: 1250, backlogBytes: 1_048_576 };
    const path = new Path(options);
    expect(steadyRate(path, path.open())).toBeGreaterThan(0.85 * options.bytesPerMs);
    // Twice the product of bandwidth and delay and a turn is aimed at; a sample that is off by a message may double it. The cap is 16 MiB.
    const product = options.roundTripMs * options.bytesPerMs;
    expect(path.most.keptBytes).toBeLessThan(4 * product + 2 * tunnelLimits.turnDataBytes);
  });

  it("leaves a neighbour its share, and lets a keystroke pass at once", () => {
    const options = { roundTripMs: 50, bytesPerMs: 10_000, backlogBytes: 65_536 };
    const path = new Path(options);
    const [bulk, other, keys] = [path.open(), path.open(), path.open()];
    steadyRate(path, bulk);
    expect(steadyRate(path, other)).toBeGreaterThan(0.4 * options.bytesPerMs);
    const sentAt = path.nowMs;
    path.gateway.write(keys, Uint8Array.of(1));
    while (!path.received.has(keys)) {
      path.run(1);
    }
    // Half a round trip, and what waits in the WebSocket before it: a backlog and a message.
    const waitMs = (options.backlogBytes + 327_680) / options.bytesPerMs;
    expect(path.nowMs - sentAt).toBeLessThan(options.roundTripMs / 2 + waitMs + 5);
  });
});
