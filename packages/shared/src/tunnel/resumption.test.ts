// Two ends whose WebSocket is lost again and again, held against the simplest model there is: what was written arrives once, in order.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Secret } from "../secret.ts";
import type { TunnelEvent } from "./events.ts";
import type { ResumeFrame } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";
import type { OpenMap } from "./maps.ts";
import { PeerReports } from "./resumption.ts";
import { TunnelSession } from "./session.ts";

const openMap: OpenMap = {
  engine: "postgres",
  kind: "session",
  grant: "grt_1",
  startup: Uint8Array.of(1),
};
const ticket = { value: new Secret("ticket"), parkedMs: 1000 };
const windowBytes = 64;

/** What one side has of a stream, by the simplest rules. */
interface Side {
  readonly written: number[];
  readonly received: number[];
  unconsumed: number;
  hasClosed: boolean;
  isReset: boolean;
  /** Events that may come once. */
  readonly seen: string[];
}

const newSide = (): Side => ({
  written: [],
  received: [],
  unconsumed: 0,
  hasClosed: false,
  isReset: false,
  seen: [],
});

class End {
  readonly session: TunnelSession;
  readonly sides = new Map<number, Side>();
  /** Messages under way to the other end. */
  inFlight: Uint8Array[] = [];
  readonly #role: "agent" | "gateway";

  constructor(role: "agent" | "gateway") {
    this.#role = role;
    this.session = new TunnelSession({
      role,
      software: role,
      windowBytes,
      maxWindowBytes: 256,
      maxStreams: 8,
      ...(role === "gateway" ? { ticket } : {}),
    });
  }

  side(id: number): Side {
    const side = this.sides.get(id) ?? newSide();
    this.sides.set(id, side);
    return side;
  }

  send(): void {
    for (let chunks = this.session.takeOutput(); chunks; chunks = this.session.takeOutput()) {
      this.inFlight.push(Buffer.concat(chunks));
    }
  }

  take(message: Uint8Array): void {
    for (const event of this.session.receive(message, 1)) {
      this.#see(event);
    }
  }

  lose(): void {
    this.inFlight = [];
    this.session.detach();
  }

  attach(): void {
    this.session.attach(this.#role === "agent" ? { resume: ticket.value } : { ticket });
  }

  #see(event: TunnelEvent): void {
    if (!("stream" in event)) {
      return;
    }
    const side = this.side(event.stream);
    if (event.type === "data") {
      side.received.push(...event.bytes);
      side.unconsumed += event.bytes.byteLength;
    } else if (event.type !== "writable") {
      expect(side.seen).not.toContain(event.type);
      side.seen.push(event.type);
      side.isReset ||= event.type === "reset";
    }
    if (event.type === "open") {
      this.session.opened(event.stream, { session: "ses_1" });
    }
  }
}

class Pair {
  readonly agent = new End("agent");
  readonly gateway = new End("gateway");
  readonly ids: number[] = [];
  #isAttached = true;
  #next = 0;

  constructor() {
    this.settle();
  }

  /** Carries everything until nobody has anything to say. */
  settle(): void {
    do {
      this.agent.send();
      this.gateway.send();
      this.#carry(this.agent, this.gateway, Number.POSITIVE_INFINITY);
      this.#carry(this.gateway, this.agent, Number.POSITIVE_INFINITY);
      this.agent.send();
      this.gateway.send();
    } while (this.agent.inFlight.length + this.gateway.inFlight.length > 0);
  }

  reattach(): void {
    if (!this.#isAttached) {
      this.#isAttached = true;
      this.agent.attach();
      this.gateway.attach();
    }
  }

  /** One step of somebody; numbers choose who, what and how much. */
  step(action: Action): void {
    const end = action.isAgent ? this.agent : this.gateway;
    const other = action.isAgent ? this.gateway : this.agent;
    switch (action.what) {
      case "open":
        this.#open();
        return;
      case "carry":
        end.send();
        this.#carry(end, other, action.amount);
        return;
      case "cut":
        this.agent.lose();
        this.gateway.lose();
        this.#isAttached = false;
        return;
      case "attach":
        this.reattach();
        return;
      case "acknowledge":
        end.session.acknowledge();
        return;
      default:
        this.#use(end, action);
    }
  }

  #open(): void {
    try {
      this.ids.push(this.agent.session.open(openMap));
    } catch {
      // Detached, or all streams are in use.
    }
  }

  #use(end: End, { what, stream, amount }: Action): void {
    const id = this.ids[stream % Math.max(1, this.ids.length)];
    const side = id === undefined ? undefined : end.side(id);
    const isOpen = side?.seen.includes(end === this.agent ? "opened" : "open") ?? false;
    if (id === undefined || side === undefined || !isOpen || side.isReset) {
      return;
    }
    if (what === "write" && !side.hasClosed) {
      const bytes = Array.from({ length: amount }, () => (this.#next = (this.#next + 1) % 251));
      side.written.push(...bytes);
      end.session.write(id, Uint8Array.from(bytes));
    } else if (what === "consume") {
      const count = Math.min(amount, side.unconsumed);
      side.unconsumed -= count;
      end.session.consumed(id, count);
    } else if (what === "close") {
      side.hasClosed = true;
      end.session.close(id);
    } else if (what === "reset" && !side.seen.includes("closed")) {
      side.isReset = true;
      end.session.reset(id, { code: "grant.expired", message: "over" });
    }
  }

  #carry(from: End, to: End, count: number): void {
    for (const message of from.inFlight.splice(0, count)) {
      to.take(message);
    }
  }
}

const action = fc.record({
  what: fc.constantFrom(
    ...(["write", "write", "write", "consume", "consume", "carry", "carry", "carry"] as const),
    ...(["open", "cut", "attach", "attach", "close", "reset", "acknowledge"] as const),
  ),
  isAgent: fc.boolean(),
  stream: fc.nat(3),
  amount: fc.integer({ min: 1, max: 90 }),
});
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never;

/** Everything that is still under way arrives, and everything is read. */
function finish(pair: Pair): void {
  pair.reattach();
  pair.settle();
  for (let round = 0; round < 200; round += 1) {
    for (const end of [pair.agent, pair.gateway]) {
      for (const [id, side] of end.sides) {
        if (side.unconsumed > 0) {
          end.session.consumed(id, side.unconsumed);
          side.unconsumed = 0;
        }
      }
      end.session.acknowledge();
    }
    pair.settle();
  }
}

/** A stream may be reset on one side while the last word of the other is under way: that one has all it can have. */
function isOver({ isReset, seen }: Side): boolean {
  return isReset || seen.includes("closed");
}

/** What one side has against what the other has written. */
function expectDelivered(from: Side, to: Side): void {
  const isWhole = !(from.isReset || to.isReset);
  const expected = isWhole ? from.written : from.written.slice(0, to.received.length);
  expect(to.received).toEqual(expected);
  if (isWhole) {
    expect(to.seen.includes("peerClosed")).toBe(from.hasClosed);
  }
}

/** Checks what both sides have of a stream, and says whether it is over. */
function expectSettled(pair: Pair, id: number): boolean {
  const agent = pair.agent.side(id);
  const gateway = pair.gateway.side(id);
  expectDelivered(agent, gateway);
  expectDelivered(gateway, agent);
  const hasEnd = agent.isReset || gateway.isReset || (agent.hasClosed && gateway.hasClosed);
  expect([isOver(agent), isOver(gateway)]).toEqual([hasEnd, hasEnd]);
  // A stream that was asked for was accepted, or is over.
  expect(agent.seen.includes("opened") || hasEnd).toBe(true);
  return hasEnd;
}

describe("a tunnel whose WebSocket is lost at any moment", () => {
  it("delivers what was written once and in order, and every end of a stream to both sides", () => {
    fc.assert(
      fc.property(fc.array(action, { minLength: 5, maxLength: 120 }), (actions) => {
        const pair = new Pair();
        pair.step({ what: "open", isAgent: true, stream: 0, amount: 1 });
        pair.settle();
        for (const one of actions) {
          pair.step(one);
        }
        finish(pair);
        const liveCount = pair.ids.filter((id) => !expectSettled(pair, id)).length;
        for (const { session } of [pair.agent, pair.gateway]) {
          expect([session.streamCount, session.bufferedBytes]).toEqual([liveCount, 0]);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe("resuming", () => {
  const write = (end: End, id: number, bytes: readonly number[]) => {
    end.side(id).written.push(...bytes);
    return end.session.write(id, Uint8Array.from(bytes));
  };

  function openPair(): { pair: Pair; id: number } {
    const pair = new Pair();
    pair.step({ what: "open", isAgent: true, stream: 0, amount: 1 });
    pair.settle();
    return { pair, id: pair.ids[0] ?? 0 };
  }

  it("ends the streams that the gateway does not know any more, each with its word", () => {
    const { pair, id } = openPair();
    write(pair.agent, id, [1, 2, 3]);
    pair.agent.lose();
    pair.agent.attach();
    pair.agent.send();
    const fresh = new End("gateway");
    for (const message of pair.agent.inFlight.splice(0)) {
      fresh.take(message);
    }
    fresh.send();
    const events = fresh.inFlight.flatMap((message) => pair.agent.session.receive(message, 1));
    expect(events).toMatchObject([
      { type: "hello" },
      { type: "reset", stream: id, reset: { code: "tunnel.lost" } },
      { type: "resumed", lost: 1 },
    ]);
    // Ids go on ascending, and the new gateway takes them.
    pair.agent.inFlight = [];
    const next = pair.agent.session.open(openMap);
    pair.agent.send();
    const seen = pair.agent.inFlight.flatMap((message) => fresh.session.receive(message, 1));
    expect(seen).toMatchObject([{ type: "open", stream: next }]);
  });

  it("asks for streams in the order of their ids, whichever OPEN had been sent", () => {
    const { pair } = openPair();
    const first = pair.agent.session.open(openMap);
    pair.agent.send();
    const second = pair.agent.session.open(openMap);
    pair.step({ what: "cut", isAgent: true, stream: 0, amount: 1 });
    pair.reattach();
    pair.settle();
    expect(pair.agent.side(first).seen).toContain("opened");
    expect(pair.agent.side(second).seen).toContain("opened");
  });

  it("believes no number of streams, and keeps no report of one that it does not know (invariant 11)", () => {
    const reports = new PeerReports(3, (id) => id === 1);
    const report = (stream: number): ResumeFrame => ({
      type: "RESUME",
      stream,
      isOpened: true,
      received: 0,
      limit: 0,
    });
    reports.add(report(1));
    reports.add(report(3));
    expect(() => reports.add(report(1))).toThrow("not awaited");
    expect([reports.of(1)?.stream, reports.of(3), reports.isComplete]).toEqual([
      1,
      undefined,
      false,
    ]);
    reports.add(report(5));
    expect(reports.isComplete).toBe(true);
    expect(() => reports.add(report(7))).toThrow("not awaited");
  });

  it("keeps no more than its bounds for a peer that never acknowledges (invariant 11)", () => {
    const agent = new TunnelSession({
      role: "agent",
      software: "a",
      windowBytes: tunnelLimits.maxWindowBytes,
    });
    const gateway = new TunnelSession({ role: "gateway", software: "g", ticket });
    const carry = (from: TunnelSession, to: TunnelSession) => {
      for (let chunks = from.takeOutput(); chunks; chunks = from.takeOutput()) {
        to.receive(Buffer.concat(chunks), 1);
      }
    };
    carry(agent, gateway);
    carry(gateway, agent);
    const ids = Array.from({ length: tunnelLimits.maxStreams }, () => agent.open(openMap));
    carry(agent, gateway);
    for (const id of ids) {
      gateway.opened(id, { session: "s" });
    }
    carry(gateway, agent);
    const chunk = new Uint8Array(65_536);
    for (const id of ids) {
      for (let isWritable = true; isWritable; ) {
        isWritable = gateway.write(id, chunk);
        while (gateway.takeOutput() !== null) {
          // Into the void: nothing is acknowledged.
        }
      }
    }
    // Each stream's last write may go over the bound.
    const most =
      tunnelLimits.maxKeptBytes + ids.length * (chunk.byteLength + tunnelLimits.chunkCostBytes);
    expect(gateway.bufferedBytes).toBeLessThanOrEqual(most);
  });
});
