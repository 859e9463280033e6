// A stream and its oracle, driven through every input in every state, allowed or not, with WebSockets lost in between: what they
// answer, send and become must be the same.

import { JitdbError } from "@jitdb/shared/errors";
import type { Frame } from "@jitdb/shared/tunnel/frame";
import { TunnelStream } from "@jitdb/shared/tunnel/stream";
import {
  type StreamInput,
  type StreamState,
  streamTransitions,
} from "@jitdb/shared/tunnel/stream-states";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { NaiveStream, Refused, type Said, whole, windowBytes } from "./naive-stream.ts";

const map = new Uint8Array(2);

/** Both, and what was seen of the table. */
class Pair {
  readonly naive = new NaiveStream();
  readonly real: TunnelStream;
  readonly #said: Said[] = [];
  #nextByte = 0;
  received = 0;
  sentEnd = 0;

  constructor() {
    this.real = new TunnelStream({
      id: 1,
      windowBytes,
      peerWindowBytes: windowBytes,
      sender: {
        send: (frame) => this.#said.push(saidOf(frame)),
        sendData: (_stream, position, chunks) =>
          this.#said.push(["DATA", position, ...chunks.flatMap((chunk) => [...chunk])]),
      },
    });
  }

  bytes(count: number): number[] {
    return Array.from({ length: count }, () => (this.#nextByte = (this.#nextByte + 1) % 251));
  }

  flush(): Said[] {
    this.#said.length = 0;
    this.real.flush();
    return [...this.#said];
  }
}

function saidOf(frame: Frame): Said {
  return "position" in frame ? [frame.type, frame.position] : [frame.type];
}

interface Step {
  /** The cell of the table that is tried; undefined for what is in none. */
  readonly input?: StreamInput;
  run(stream: NaiveStream | TunnelStream, pair: Pair): unknown;
}

const small = fc.integer({ min: 1, max: 30 });
/** Mostly right, sometimes beside it. */
const offset = fc.oneof(
  { weight: 20, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.constantFrom(-1, 1, 7) },
);

function step(input: StreamInput | undefined, run: Step["run"]): Step {
  return input === undefined ? { run } : { input, run };
}

type Doing = Step | "write" | "flush" | "report";

/** What conversations are made of. */
const usual: readonly fc.Arbitrary<Doing>[] = [
  fc.constantFrom<Doing[]>("write", "flush", "flush"),
  small.map((count) => step(undefined, (stream) => stream.consumed(count))),
  fc
    .tuple(offset, small)
    .map(([by, count]) =>
      step("receiveData", (stream, { received }) => stream.receiveData(received + by, count)),
    ),
  small.map((count) =>
    step("receiveWindow", (stream, { sentEnd }) => stream.receiveWindow(sentEnd + count * 3)),
  ),
  fc
    .tuple(offset, fc.nat(5))
    .map(([by, missing]) =>
      step("receiveAck", (stream, { sentEnd }) =>
        stream.receiveAck(Math.max(0, sentEnd + by - missing)),
      ),
    ),
];

/** A WebSocket is lost: each side says where it stands. */
const resuming: readonly fc.Arbitrary<Doing>[] = [
  fc.constant("report"),
  fc.tuple(fc.boolean(), fc.nat(6), small).map(([isOpened, missing, credit]) =>
    step(undefined, (stream, { sentEnd }) =>
      stream.resume({
        type: "RESUME",
        stream: 1,
        isOpened,
        received: Math.max(0, sentEnd + 1 - missing),
        limit: sentEnd + credit,
      }),
    ),
  ),
];

/** Beginnings, ends, and what is mostly wrong. */
const rare: readonly fc.Arbitrary<Doing>[] = [
  fc.constant(step("sendOpen", (stream) => stream.open(map))),
  fc.constant(step("receiveOpen", (stream) => stream.receiveOpen())),
  fc.constant(step("sendOpened", (stream) => stream.opened(map))),
  fc.constant(step("receiveOpened", (stream) => stream.receiveOpened())),
  fc.constant(step(undefined, (stream) => stream.acknowledge())),
  fc.constant(step(undefined, (stream) => stream.close())),
  offset.map((by) =>
    step("receiveClose", (stream, { received }) => stream.receiveClose(received + by)),
  ),
  fc.constant(step("sendReset", (stream) => stream.reset(map))),
  fc.constant(step("receiveReset", (stream) => stream.receiveReset())),
  fc.constantFrom(
    step("receiveWindow", (stream) => stream.receiveWindow(whole)),
    step("receiveAck", (stream) => stream.receiveAck(whole)),
    step(undefined, (stream) => stream.isMissed(windowBytes)),
  ),
];

const anything = fc.oneof(
  { weight: 10, arbitrary: fc.oneof(...usual) },
  { weight: 3, arbitrary: fc.oneof(...resuming) },
  { weight: 3, arbitrary: fc.oneof(...rare) },
);

type Outcome = { readonly value: unknown } | { readonly isRefused: true };

function outcomeOf(action: () => unknown): Outcome {
  try {
    return { value: action() };
  } catch (error) {
    if (
      error instanceof Refused ||
      (error instanceof JitdbError && error.code.startsWith("tunnel."))
    ) {
      return { isRefused: true };
    }
    throw error;
  }
}

/** Runs steps on both, and gives the cells that were tried as `state input allowed`. */
function compare(kinds: readonly Doing[], cells: Set<string>): void {
  const pair = new Pair();
  const { naive, real } = pair;
  for (const kind of kinds) {
    const before = real.state;
    const [one, other] = both(pair, kind);
    expect(other).toEqual(one);
    if (typeof kind === "object" && kind.input !== undefined) {
      cells.add(`${before} ${kind.input} ${"value" in one}`);
    }
    // What a peer sends and may not ends the tunnel; what the driver asks for and may not changes nothing.
    if ("isRefused" in one && typeof kind === "object" && !kind.input?.startsWith("send")) {
      return;
    }
    expect([real.state, real.isFinished]).toEqual([naive.state, naive.isFinished]);
  }
}

function both(pair: Pair, kind: Doing): [Outcome, Outcome] {
  const { naive, real } = pair;
  if (kind === "write") {
    const bytes = pair.bytes(1 + (pair.received % 9));
    return [
      outcomeOf(() => naive.write(bytes)),
      outcomeOf(() => real.write(Uint8Array.from(bytes))),
    ];
  }
  if (kind === "flush") {
    const said = pair.flush();
    for (const [type, position = 0, ...bytes] of said) {
      pair.sentEnd = type === "DATA" ? position + bytes.length : pair.sentEnd;
    }
    return [{ value: naive.flush() }, { value: said }];
  }
  if (kind === "report") {
    const { isOpened, received, limit } = real.report();
    return [{ value: naive.report() }, { value: { isOpened, received, limit } }];
  }
  const outcomes: [Outcome, Outcome] = [
    outcomeOf(() => kind.run(naive, pair)),
    outcomeOf(() => kind.run(real, pair)),
  ];
  pair.received = real.window.received;
  return outcomes;
}

describe("a stream and the simplest one that could be", () => {
  it("answer, send and become the same, whatever is done to them and wherever the WebSocket is lost (invariant 11)", () => {
    const cells = new Set<string>();
    const opening = fc.constantFrom<readonly Step[]>(
      [],
      [
        step("sendOpen", (stream) => stream.open(map)),
        step("receiveOpened", (stream) => stream.receiveOpened()),
      ],
      [
        step("receiveOpen", (stream) => stream.receiveOpen()),
        step("sendOpened", (stream) => stream.opened(map)),
      ],
    );
    fc.assert(
      fc.property(opening, fc.array(anything, { maxLength: 80 }), (first, then) => {
        compare([...first, ...then], cells);
      }),
      { numRuns: 40_000 },
    );
    expect(cellsMissing(cells)).toEqual([]);
  });
});

/** Cells of the table that no run has tried; those that are the stream's own doing (DATA, WINDOW, ACK, CLOSE) show in what is sent. */
function cellsMissing(cells: ReadonlySet<string>): string[] {
  const inputs: readonly StreamInput[] = [
    ...(["sendOpen", "sendOpened", "sendReset", "receiveOpen", "receiveOpened"] as const),
    ...(["receiveData", "receiveWindow", "receiveAck", "receiveClose", "receiveReset"] as const),
  ];
  return (Object.keys(streamTransitions) as StreamState[]).flatMap((state) =>
    inputs
      .map((input) => `${state} ${input} ${streamTransitions[state][input] !== undefined}`)
      .filter((cell) => !cells.has(cell)),
  );
}
