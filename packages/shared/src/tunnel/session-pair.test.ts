// Two sessions joined by a pipe, driven by random steps, against an oracle that is one array of bytes per direction of a stream.

import fc from "fast-check";
import { expect, it } from "vitest";
import type { TunnelEvent } from "./events.ts";
import { TunnelSession } from "./session.ts";

const windowBytes = 64;
const refusal = { code: "internal", message: "Reset by the test." };

/** What one end knows of one stream. */
interface StreamRecord {
  isOpen: boolean;
  isWritable: boolean;
  isClosed: boolean;
  isPeerClosed: boolean;
  isReset: boolean;
  written: number[];
  received: number[];
  unconsumedBytes: number;
}

class End {
  readonly session: TunnelSession;
  readonly streams = new Map<number, StreamRecord>();
  /** Messages on their way to the other end. */
  readonly pipe: Uint8Array[] = [];
  #nextByte = 0;

  constructor(role: "agent" | "gateway") {
    this.session = new TunnelSession({ role, software: role, windowBytes, maxStreams: 4 });
  }

  record(id: number): StreamRecord {
    const known = this.streams.get(id);
    const record = known ?? {
      isOpen: false,
      isWritable: true,
      isClosed: false,
      isPeerClosed: false,
      isReset: false,
      written: [],
      received: [],
      unconsumedBytes: 0,
    };
    this.streams.set(id, record);
    return record;
  }

  /** The stream that a random number means, if there is one that can be used. */
  pick(choice: number): [number, StreamRecord] | undefined {
    const open = [...this.streams].filter(([, record]) => record.isOpen && !record.isReset);
    return open[choice % Math.max(1, open.length)];
  }

  write(choice: number, byteCount: number): void {
    const picked = this.pick(choice);
    if (picked === undefined || picked[1].isClosed || !picked[1].isWritable) {
      return;
    }
    const [id, record] = picked;
    const bytes = Uint8Array.from({ length: byteCount }, () => this.#nextByte++ % 251);
    record.written.push(...bytes);
    record.isWritable = this.session.write(id, bytes);
  }

  consume(choice: number, maxBytes: number): void {
    const picked = this.pick(choice);
    if (picked !== undefined) {
      const byteCount = Math.min(maxBytes, picked[1].unconsumedBytes);
      picked[1].unconsumedBytes -= byteCount;
      this.session.consumed(picked[0], byteCount);
    }
  }

  close(choice: number): void {
    const picked = this.pick(choice);
    if (picked !== undefined) {
      picked[1].isClosed = true;
      this.session.close(picked[0]);
    }
  }

  reset(choice: number): void {
    const picked = this.pick(choice);
    if (picked !== undefined) {
      picked[1].isReset = true;
      this.session.reset(picked[0], refusal);
    }
  }

  /** Puts one message into the pipe. */
  send(): boolean {
    const chunks = this.session.takeOutput();
    if (chunks === null) {
      return false;
    }
    this.pipe.push(Uint8Array.from(chunks.flatMap((chunk) => [...chunk])));
    return true;
  }

  /** Takes one message out of the peer's pipe. */
  receiveFrom(peer: End): boolean {
    const message = peer.pipe.shift();
    if (message === undefined) {
      return false;
    }
    for (const event of this.session.receive(message, 0)) {
      this.#handle(event);
    }
    return true;
  }

  #handle(event: TunnelEvent): void {
    if ("stream" in event) {
      this.#handleStream(event);
    }
  }

  #handleStream(event: Extract<TunnelEvent, { stream: number }>): void {
    const record = this.record(event.stream);
    switch (event.type) {
      case "open":
        record.isOpen = true;
        this.session.opened(event.stream, { session: `ses_${event.stream}` });
        break;
      case "opened":
        record.isOpen = true;
        break;
      case "data":
        expect(record.isPeerClosed || record.isReset).toBe(false);
        record.received.push(...event.bytes);
        record.unconsumedBytes += event.bytes.byteLength;
        // Never more than the window outstanding.
        expect(record.unconsumedBytes).toBeLessThanOrEqual(windowBytes);
        break;
      case "writable":
        expect(record.isWritable).toBe(false);
        record.isWritable = true;
        break;
      case "peerClosed":
        expect(record.isPeerClosed).toBe(false);
        record.isPeerClosed = true;
        break;
      case "closed":
        expect(record.isClosed && record.isPeerClosed).toBe(true);
        break;
      case "reset":
        record.isReset = true;
        break;
    }
  }
}

type Step = (ends: readonly [End, End]) => void;

/** The end that acts, and its peer. */
const end = fc.constantFrom<readonly [0, 1] | readonly [1, 0]>([0, 1], [1, 0]);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.constant<Step>(([agent]) => openIfAllowed(agent)) },
  {
    weight: 8,
    arbitrary: fc.tuple(end, fc.nat(9), fc.integer({ min: 1, max: 150 })).map(
      ([[at], choice, count]): Step =>
        (ends) =>
          ends[at].write(choice, count),
    ),
  },
  {
    weight: 8,
    arbitrary: fc.tuple(end, fc.nat(9), fc.integer({ min: 1, max: 70 })).map(
      ([[at], choice, count]): Step =>
        (ends) =>
          ends[at].consume(choice, count),
    ),
  },
  {
    weight: 8,
    arbitrary: end.map(
      ([at]): Step =>
        (ends) =>
          void ends[at].send(),
    ),
  },
  {
    weight: 8,
    arbitrary: end.map(
      ([at, peer]): Step =>
        (ends) =>
          void ends[at].receiveFrom(ends[peer]),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(end, fc.nat(9)).map(
      ([[at], choice]): Step =>
        (ends) =>
          ends[at].close(choice),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(end, fc.nat(9)).map(
      ([[at], choice]): Step =>
        (ends) =>
          ends[at].reset(choice),
    ),
  },
);

function openIfAllowed(agent: End): void {
  const live = [...agent.streams.values()].filter(
    (record) => !(record.isReset || (record.isClosed && record.isPeerClosed)),
  );
  // One below the limit: a stream that is over counts until its last frame is taken.
  if (live.length < 3) {
    agent.send();
    agent.record(
      agent.session.open({
        engine: "postgres",
        kind: "session",
        grant: "grt_1",
        startup: new Uint8Array(),
      }),
    );
  }
}

/** Carries messages until nothing is left to send on either side. */
function settle([agent, gateway]: readonly [End, End]): void {
  let isMoving = true;
  while (isMoving) {
    const moves = [
      agent.send(),
      gateway.send(),
      agent.receiveFrom(gateway),
      gateway.receiveFrom(agent),
    ];
    isMoving = moves.includes(true);
  }
}

function createEnds(): readonly [End, End] {
  const ends = [new End("agent"), new End("gateway")] as const;
  settle(ends);
  return ends;
}

it("delivers every byte in order and nothing else, whatever both sides do (invariant 11)", () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 300 }), (steps) => {
      const ends = createEnds();
      for (const run of steps) {
        run(ends);
        checkPrefixes(ends);
      }
      drain(ends);
      checkPrefixes(ends);
      checkComplete(ends);
    }),
    { numRuns: 150 },
  );
});

it("lets a stalled stream stop nobody else (invariant 11)", () => {
  const ends = createEnds();
  const [agent, gateway] = ends;
  openIfAllowed(agent);
  openIfAllowed(agent);
  settle(ends);
  // The gateway never consumes stream 1, and always consumes stream 3.
  for (let round = 0; round < 50; round += 1) {
    agent.write(0, 40);
    agent.write(1, 40);
    settle(ends);
    gateway.consume(1, windowBytes);
    settle(ends);
  }
  expect(gateway.record(1).received).toHaveLength(windowBytes);
  expect(gateway.record(3).received).toHaveLength(50 * 40);
});

/** Consumes everything on both sides until nothing moves. */
function drain(ends: readonly [End, End]): void {
  let before = -1;
  let after = 0;
  while (before !== after) {
    before = after;
    settle(ends);
    for (const { session, streams } of ends) {
      for (const [id, record] of streams) {
        session.consumed(id, record.unconsumedBytes);
        record.unconsumedBytes = 0;
      }
    }
    after = ends
      .flatMap(({ streams }) => [...streams.values()])
      .reduce((sum, { received }) => sum + received.length, 0);
  }
  settle(ends);
}

function eachDirection(
  [agent, gateway]: readonly [End, End],
  check: (from: StreamRecord, to: StreamRecord) => void,
): void {
  for (const [id, record] of agent.streams) {
    const peer = gateway.record(id);
    check(record, peer);
    check(peer, record);
  }
}

function checkPrefixes(ends: readonly [End, End]): void {
  eachDirection(ends, (from, to) => {
    expect(to.received).toEqual(from.written.slice(0, to.received.length));
  });
}

function checkComplete(ends: readonly [End, End]): void {
  eachDirection(ends, (from, to) => {
    if (from.isReset || to.isReset) {
      expect(from.isReset && to.isReset).toBe(true);
    } else {
      expect(to.received).toHaveLength(from.written.length);
      expect(to.isPeerClosed).toBe(from.isClosed);
      expect(from.isWritable || from.isClosed).toBe(true);
    }
  });
}
