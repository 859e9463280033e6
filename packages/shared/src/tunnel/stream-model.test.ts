// A stream against the simplest one that could be: no table, no buffers cut in pieces, all bytes kept for ever. Both are driven through
// every input, allowed or not, with WebSockets lost in between; what they answer, send and become must be the same.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JitdbError } from "../errors.ts";
import type { Frame, ResumeFrame } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";
import { TunnelStream } from "./stream.ts";
import { type StreamInput, type StreamState, streamTransitions } from "./stream-states.ts";

const windowBytes = 40;
const whole = tunnelLimits.maxPosition;
const map = new Uint8Array(2);

/** What a side says with one flush: type and position, or type and bytes. */
type Said = readonly [string, ...number[]];

/** Thrown by the model where the protocol says error. */
class Refused extends Error {}

function refuseUnless(isAllowed: boolean): void {
  if (!isAllowed) {
    throw new Refused();
  }
}

class NaiveStream {
  #hasAsked = false;
  #wasAsked = false;
  #isAccepted = false;
  #isBroken = false;
  #isResetByPeer = false;
  #isEndKnown = false;
  /** Goes out next, and what the peer may not have got. */
  #owed: "OPEN" | "OPENED" | "RESET" | undefined;
  #unsure: "OPEN" | "OPENED" | "RESET" | undefined;

  #written: number[] = [];
  #sent = 0;
  #acked = 0;
  #limit = windowBytes;
  #isBlocked = false;
  #wantsClose = false;
  #hasSentClose = false;
  #isCloseAcked = false;

  #received = 0;
  #consumed = 0;
  #toldLimit = windowBytes;
  #toldReceived = 0;
  #hasPeerClosed = false;
  #owesAck = false;

  get state(): StreamState {
    if (this.#isBroken || (this.#hasSentClose && this.#hasPeerClosed)) {
      return "closed";
    }
    if (!this.#isAccepted) {
      return this.#hasAsked ? "requested" : this.#wasAsked ? "offered" : "idle";
    }
    if (this.#hasSentClose) {
      return "halfClosedLocal";
    }
    return this.#hasPeerClosed ? "halfClosedRemote" : "open";
  }

  get isFinished(): boolean {
    const isKnown = this.#isEndKnown || this.#isCloseAcked;
    return this.state === "closed" && isKnown && this.#next().length === 0;
  }

  get #lives(): boolean {
    return this.#isAccepted && this.state !== "closed";
  }

  get #receives(): boolean {
    return this.#lives && !this.#hasPeerClosed;
  }

  open(): void {
    refuseUnless(this.state === "idle");
    this.#hasAsked = true;
    this.#owed = this.#unsure = "OPEN";
  }

  opened(): void {
    refuseUnless(this.state === "offered");
    this.#isAccepted = true;
    this.#owed = this.#unsure = "OPENED";
  }

  write(bytes: readonly number[]): boolean {
    refuseUnless(this.#lives && !this.#hasSentClose && !this.#wantsClose);
    this.#written.push(...bytes);
    this.#isBlocked = this.#written.length > this.#limit;
    return !this.#isBlocked;
  }

  consumed(count: number): void {
    refuseUnless(this.#consumed + count <= this.#received);
    this.#consumed += count;
  }

  acknowledge(): void {
    this.#owesAck ||= this.#lives && this.#received > this.#toldReceived;
  }

  close(): void {
    if (!(this.#wantsClose || this.#hasSentClose)) {
      refuseUnless(this.#lives);
      this.#wantsClose = true;
    }
  }

  reset(): void {
    refuseUnless(this.state !== "idle" && this.state !== "closed");
    const isUnheard = this.#owed === "OPEN";
    this.#break();
    if (isUnheard) {
      this.#isEndKnown = true;
    } else {
      this.#owed = this.#unsure = "RESET";
    }
  }

  receiveOpen(): boolean {
    refuseUnless(this.state !== "requested" && this.state !== "closed");
    const isFirst = this.state === "idle";
    this.#wasAsked ||= isFirst;
    return isFirst;
  }

  receiveOpened(): boolean {
    refuseUnless(this.state === "requested" || this.#lives);
    const isFirst = !this.#isAccepted;
    this.#isAccepted = true;
    this.#unsure = undefined;
    return isFirst;
  }

  receiveData(position: number, count: number): void {
    refuseUnless(this.#receives && position === this.#received);
    this.#hear();
    refuseUnless(position + count <= this.#toldLimit);
    this.#received += count;
  }

  receiveWindow(limit: number): boolean {
    refuseUnless(this.#lives);
    this.#hear();
    return this.#raise(limit);
  }

  receiveAck(position: number): void {
    refuseUnless(this.#lives || this.state === "closed");
    this.#hear();
    if (this.#unsure === "RESET") {
      this.#isEndKnown ||= position === whole;
    } else if (!this.#isResetByPeer) {
      this.#ack(position);
    }
  }

  receiveClose(position: number): boolean {
    refuseUnless(this.#lives && position === this.#received);
    this.#hear();
    const isFirst = !this.#hasPeerClosed;
    this.#hasPeerClosed = true;
    this.#owesAck = true;
    return isFirst;
  }

  receiveReset(): void {
    refuseUnless(this.state !== "idle");
    this.#break();
    this.#isResetByPeer = true;
    this.#isEndKnown = true;
    this.#owesAck = true;
  }

  report(): Omit<ResumeFrame, "type" | "stream"> {
    this.#toldLimit = this.#receives ? this.#bestLimit : this.#toldLimit;
    this.#toldReceived = this.#received;
    this.#owesAck = this.#isResetByPeer;
    return {
      isOpened: this.state !== "requested" && this.state !== "offered",
      received: this.#received + (this.#hasPeerClosed ? 1 : 0),
      limit: this.#receives ? this.#toldLimit : this.#received,
    };
  }

  resume({ isOpened, received, limit }: Omit<ResumeFrame, "type" | "stream">): boolean {
    if (this.#isResetByPeer) {
      return false;
    }
    if (this.#unsure === "RESET" || (this.#unsure === "OPENED" && !isOpened)) {
      this.#owed = this.#unsure;
    }
    if (this.#unsure === "RESET") {
      return false;
    }
    refuseUnless(received >= this.#acked);
    this.#ack(received);
    this.#sent = this.#acked;
    this.#wantsClose ||= this.#hasSentClose && !this.#isCloseAcked;
    return this.#raise(limit);
  }

  isMissed(): boolean {
    if (this.state === "requested") {
      this.#owed = "OPEN";
      return false;
    }
    const isLost = this.state !== "closed";
    this.#break();
    this.#isEndKnown = true;
    return isLost;
  }

  flush(): Said[] {
    const said = this.#next();
    for (const [type] of said) {
      if (type === "WINDOW") {
        this.#toldLimit = this.#bestLimit;
      } else if (type === "ACK") {
        this.#toldReceived = this.#received;
        this.#owesAck = false;
      } else if (type === "DATA") {
        this.#sent = Math.min(this.#written.length, this.#limit);
      } else if (type === "CLOSE") {
        this.#wantsClose = false;
        this.#hasSentClose = true;
      } else {
        this.#owed = undefined;
      }
    }
    return said;
  }

  /** Everything that is to be said now. */
  #next(): Said[] {
    const said: Said[] = this.#owed === undefined ? [] : [[this.#owed]];
    const credit = this.#bestLimit - this.#toldLimit;
    const hasWindow = this.#receives && credit * 2 >= windowBytes;
    if (hasWindow) {
      said.push(["WINDOW", this.#bestLimit]);
    }
    const hasMuch = this.#receives && (this.#received - this.#toldReceived) * 4 >= windowBytes;
    if (hasWindow || hasMuch || this.#owesAck) {
      said.push([
        "ACK",
        this.#isResetByPeer ? whole : this.#received + (this.#hasPeerClosed ? 1 : 0),
      ]);
    }
    const until = Math.min(this.#written.length, this.#limit);
    if (this.#sent < until) {
      said.push(["DATA", this.#sent, ...this.#written.slice(this.#sent, until)]);
    }
    if (this.#wantsClose && Math.max(this.#sent, until) === this.#written.length) {
      said.push(["CLOSE", this.#written.length]);
    }
    return said;
  }

  get #bestLimit(): number {
    return Math.max(this.#toldLimit, this.#consumed + windowBytes);
  }

  #hear(): void {
    this.#unsure = this.#unsure === "OPENED" ? undefined : this.#unsure;
  }

  #ack(position: number): void {
    const isCloseOut = this.#hasSentClose && !this.#wantsClose;
    refuseUnless(position <= this.#sent + (isCloseOut ? 1 : 0));
    this.#isCloseAcked ||= isCloseOut && position > this.#written.length;
    this.#acked = Math.max(this.#acked, Math.min(position, this.#written.length));
  }

  #raise(limit: number): boolean {
    refuseUnless(limit <= this.#sent + tunnelLimits.maxWindowBytes);
    this.#limit = Math.max(this.#limit, limit);
    const isFreed = this.#isBlocked && this.#written.length <= this.#limit;
    this.#isBlocked &&= !isFreed;
    return isFreed && !(this.#wantsClose || this.#hasSentClose);
  }

  /** Over at once. */
  #break(): void {
    this.#isBroken = true;
    this.#owed = undefined;
    this.#unsure = undefined;
    this.#written.length = this.#sent;
    this.#acked = this.#sent;
    this.#isBlocked = false;
    this.#wantsClose = false;
    this.#owesAck = false;
  }
}

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
const offset = fc.constantFrom(0, 0, 0, 0, 0, 0, 0, -1, 1, 7);

function step(input: StreamInput | undefined, run: Step["run"]): Step {
  return input === undefined ? { run } : { input, run };
}

const steps: readonly fc.Arbitrary<Step>[] = [
  fc.constant(step("sendOpen", (stream) => stream.open(map))),
  fc.constant(step("receiveOpen", (stream) => stream.receiveOpen())),
  fc.constant(step("sendOpened", (stream) => stream.opened(map))),
  fc.constant(step("receiveOpened", (stream) => stream.receiveOpened())),
  small.map((count) => step(undefined, (stream) => stream.consumed(count))),
  small.map((count) => step(undefined, (stream) => stream.consumed(count))),
  fc.constant(step(undefined, (stream) => stream.acknowledge())),
  fc.constant(step(undefined, (stream) => stream.close())),
  fc.constant(step("sendReset", (stream) => stream.reset(map))),
  fc.constant(step("receiveReset", (stream) => stream.receiveReset())),
  fc
    .tuple(offset, small)
    .map(([by, count]) =>
      step("receiveData", (stream, { received }) => stream.receiveData(received + by, count)),
    ),
  small.map((count) =>
    step("receiveWindow", (stream, { sentEnd }) => stream.receiveWindow(sentEnd + count * 3)),
  ),
  fc.constant(step("receiveWindow", (stream) => stream.receiveWindow(whole))),
  fc
    .tuple(offset, fc.boolean())
    .map(([by, isEnd]) =>
      step("receiveAck", (stream, { sentEnd }) =>
        stream.receiveAck(Math.max(0, isEnd ? sentEnd + by : sentEnd - 5)),
      ),
    ),
  fc.constant(step("receiveAck", (stream) => stream.receiveAck(whole))),
  offset.map((by) =>
    step("receiveClose", (stream, { received }) => stream.receiveClose(received + by)),
  ),
  fc.tuple(fc.boolean(), fc.nat(12), small).map(([isOpened, missing, credit]) =>
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
  fc.constant(step(undefined, (stream) => stream.isMissed(windowBytes))),
];

/** Steps that are wanted more often than the others: without them no run goes far. */
const busy: readonly fc.Arbitrary<"write" | "flush" | "report">[] = [
  fc.constantFrom("write", "flush", "write", "flush", "report"),
];

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
function compare(
  kinds: readonly (Step | "write" | "flush" | "report")[],
  cells: Set<string>,
): void {
  const pair = new Pair();
  const { naive, real } = pair;
  for (const kind of kinds) {
    const before = real.state;
    const [one, other] = both(pair, kind);
    expect(other).toEqual(one);
    expect([real.state, real.isFinished]).toEqual([naive.state, naive.isFinished]);
    if (typeof kind === "object" && kind.input !== undefined) {
      cells.add(`${before} ${kind.input} ${"value" in one}`);
      // What a peer sends and may not ends the tunnel.
      if ("isRefused" in one && kind.input.startsWith("receive")) {
        return;
      }
    }
    if (
      "isRefused" in one &&
      kind !== "write" &&
      typeof kind === "object" &&
      kind.input === undefined
    ) {
      return;
    }
  }
}

function both(pair: Pair, kind: Step | "write" | "flush" | "report"): [Outcome, Outcome] {
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
    const anything = fc.oneof(
      ...steps,
      ...busy.flatMap((one) => Array.from({ length: 12 }, () => one)),
    );
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
      fc.property(opening, fc.array(anything, { maxLength: 60 }), (first, then) => {
        compare([...first, ...then], cells);
      }),
      { numRuns: 6000 },
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
