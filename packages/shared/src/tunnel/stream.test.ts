import { describe, expect, it } from "vitest";
import { JitdbError } from "../errors.ts";
import type { Frame } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";
import { TunnelStream, type TunnelStreamOptions } from "./stream.ts";
import { type StreamInput, type StreamState, streamTransitions } from "./stream-states.ts";

/** What was sent; DATA with its chunks as they were given. */
type Sent =
  | Frame
  | { readonly type: "DATA"; readonly position: number; readonly chunks: readonly Uint8Array[] };

const map = new Uint8Array(2);
const some = (byteCount: number) => new Uint8Array(byteCount).fill(7);

function createStream(options: Partial<TunnelStreamOptions> = {}) {
  const sent: Sent[] = [];
  const stream = new TunnelStream({
    id: 1,
    windowBytes: 100,
    peerWindowBytes: 100,
    sender: {
      send: (frame) => sent.push(frame),
      sendData: (_stream, position, chunks) => sent.push({ type: "DATA", position, chunks }),
    },
    ...options,
  });
  return {
    stream,
    sent,
    /** What is sent until there is nothing left, as `TYPE position` or `TYPE`. */
    flush: () => {
      sent.length = 0;
      while (stream.hasOutput) {
        stream.flush();
      }
      return sent.map((frame) =>
        "position" in frame ? `${frame.type} ${frame.position}` : frame.type,
      );
    },
  };
}

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof JitdbError) {
      return error.code;
    }
    throw error;
  }
  return "none";
}

/** An open stream, from the agent's side. */
function createOpenStream(options: Partial<TunnelStreamOptions> = {}) {
  const made = createStream(options);
  made.stream.open(map);
  made.flush();
  made.stream.receiveOpened();
  return made;
}

describe("the state table", () => {
  const ways: Record<StreamState, (stream: TunnelStream) => void> = {
    idle: () => undefined,
    requested: (stream) => {
      stream.open(map);
      stream.flush();
    },
    offered: (stream) => {
      stream.receiveOpen();
    },
    open: (stream) => {
      stream.receiveOpen();
      stream.opened(map);
      stream.flush();
    },
    halfClosedLocal: (stream) => {
      ways.open(stream);
      stream.close();
      stream.flush();
    },
    halfClosedRemote: (stream) => {
      ways.open(stream);
      stream.receiveClose(0);
    },
    closed: (stream) => {
      ways.halfClosedLocal(stream);
      stream.receiveClose(0);
    },
  };
  // WINDOW and ACK are sent by the stream itself, out of `consumed`; the tests of flow control show those cells.
  const inputs: Record<
    Exclude<StreamInput, "sendWindow" | "sendAck">,
    (stream: TunnelStream) => void
  > = {
    sendOpen: (stream) => stream.open(map),
    receiveOpen: (stream) => stream.receiveOpen(),
    sendOpened: (stream) => stream.opened(map),
    receiveOpened: (stream) => stream.receiveOpened(),
    sendData: (stream) => {
      stream.write(some(1));
      stream.flush();
    },
    receiveData: (stream) => stream.receiveData(0, 1),
    receiveWindow: (stream) => stream.receiveWindow(200),
    receiveAck: (stream) => stream.receiveAck(0),
    sendClose: (stream) => {
      stream.close();
      stream.flush();
    },
    receiveClose: (stream) => stream.receiveClose(0),
    sendReset: (stream) => stream.reset(map),
    receiveReset: (stream) => stream.receiveReset(),
  };
  for (const state of Object.keys(ways) as StreamState[]) {
    for (const input of Object.keys(inputs) as (keyof typeof inputs)[]) {
      const next = streamTransitions[state][input];
      it(`${next === undefined ? "refuses" : "takes"} ${input} while ${state}`, () => {
        const { stream } = createStream();
        ways[state](stream);
        expect(stream.state).toBe(state);
        // Our own second close has no cell, yet it is a repeat that changes nothing.
        const hasClosed = state === "halfClosedLocal" || state === "closed";
        const isRepeatedClose = hasClosed && input === "sendClose";
        const isRefused = next === undefined && !isRepeatedClose;
        expect(codeOf(() => inputs[input](stream))).toBe(isRefused ? "tunnel.protocol" : "none");
        expect(stream.state).toBe(next ?? state);
      });
    }
  }

  it("lets WINDOW out only while the peer may still send, and ACK also behind its end", () => {
    const states = Object.keys(streamTransitions) as StreamState[];
    const sendersOf = (input: StreamInput) =>
      states.filter((state) => streamTransitions[state][input] !== undefined);
    expect(sendersOf("sendWindow")).toEqual(["open", "halfClosedLocal"]);
    expect(sendersOf("sendAck")).toEqual(["open", "halfClosedLocal", "halfClosedRemote", "closed"]);
  });
});

describe("opening", () => {
  it("is reported once, however often the peer repeats itself", () => {
    const gateway = createStream().stream;
    expect([gateway.receiveOpen(), gateway.receiveOpen()]).toEqual([true, false]);
    const agent = createStream();
    agent.stream.open(map);
    expect(agent.flush()).toEqual(["OPEN"]);
    expect([agent.stream.receiveOpened(), agent.stream.receiveOpened()]).toEqual([true, false]);
  });

  it("says nothing at all when the stream is reset before its OPEN went out", () => {
    const { stream, flush } = createStream();
    stream.open(map);
    stream.reset(map);
    expect([stream.isClosed, flush()]).toEqual([true, []]);
  });

  it("refuses with RESET instead of an OPENED that did not go out yet", () => {
    const { stream, flush } = createStream();
    stream.receiveOpen();
    stream.opened(map);
    stream.reset(map);
    expect(flush()).toEqual(["RESET"]);
  });
});

describe("bytes ahead of the answer", () => {
  const ahead = () => {
    const made = createStream({ peerWindowBytes: 10 });
    made.stream.open(map);
    made.stream.write(some(8));
    expect(made.flush()).toEqual(["OPEN", "DATA 0"]);
    return made;
  };
  const resume = { type: "RESUME", stream: 1, isOpened: false, limit: 10 } as const;

  it("stand behind OPEN, within the first credit", () => {
    const { stream, flush } = ahead();
    expect(stream.write(some(4))).toBe(false);
    expect(flush()).toEqual(["DATA 8"]);
    stream.receiveOpened();
    expect(stream.receiveWindow(20)).toBe(true);
    expect(flush()).toEqual(["DATA 10"]);
  });

  it("are acknowledged with OPENED and not before", () => {
    const { stream, flush } = createStream();
    stream.receiveOpen();
    stream.receiveData(0, 60);
    stream.acknowledge();
    expect(flush()).toEqual([]);
    stream.opened(map);
    expect(flush()).toEqual(["OPENED", "ACK 60"]);
  });

  it("say nothing of whether the peer has the answer, which is sent again where it has not", () => {
    const { stream, flush } = createStream();
    stream.receiveOpen();
    stream.opened(map);
    flush();
    stream.receiveData(0, 1);
    stream.resume({ ...resume, received: 0 });
    expect(flush()).toEqual(["OPENED"]);
  });

  it("go with an OPEN that is sent again, all of them", () => {
    const { stream, flush } = ahead();
    expect(stream.isMissed(10)).toBe(false);
    expect(flush()).toEqual(["OPEN", "DATA 0"]);
  });

  it("are lost with a tunnel that had some of them", () => {
    const { stream, flush } = ahead();
    stream.resume({ ...resume, received: 5 });
    expect(flush()).toEqual(["DATA 5"]);
    expect([stream.isMissed(10), stream.state]).toEqual([true, "closed"]);
  });
});

describe("sending", () => {
  it("numbers the bytes and stops at the peer's limit (invariant 11)", () => {
    const { stream, flush } = createOpenStream({ peerWindowBytes: 10 });
    expect(stream.write(some(4))).toBe(true);
    expect(stream.write(some(6))).toBe(true);
    expect(stream.write(some(5))).toBe(false);
    expect(flush()).toEqual(["DATA 0"]);
    expect(stream.receiveWindow(12)).toBe(false);
    expect(flush()).toEqual(["DATA 10"]);
    expect(stream.receiveWindow(15)).toBe(true);
    expect(flush()).toEqual(["DATA 12"]);
    expect(stream.receiveWindow(20)).toBe(false);
  });

  it("ignores a limit that is lower than the last", () => {
    const { stream, flush } = createOpenStream({ peerWindowBytes: 10 });
    expect(stream.receiveWindow(5)).toBe(false);
    stream.write(some(10));
    expect(flush()).toEqual(["DATA 0"]);
  });

  it("refuses credit that would let its queue grow without a bound (invariant 11)", () => {
    const { stream } = createOpenStream();
    const { maxWindowBytes } = tunnelLimits;
    expect(codeOf(() => stream.receiveWindow(maxWindowBytes))).toBe("none");
    expect(codeOf(() => stream.receiveWindow(maxWindowBytes + 1))).toBe("tunnel.protocol");
  });

  it("refuses an ACK for bytes that were never sent", () => {
    const { stream, flush } = createOpenStream();
    stream.write(some(10));
    flush();
    expect(codeOf(() => stream.receiveAck(10))).toBe("none");
    expect(codeOf(() => stream.receiveAck(3))).toBe("none");
    expect(codeOf(() => stream.receiveAck(11))).toBe("tunnel.protocol");
  });

  it("sends the bytes themselves, not a copy", () => {
    const { stream, sent, flush } = createOpenStream();
    const bytes = some(10);
    stream.write(bytes);
    flush();
    expect(sent[0] !== undefined && "chunks" in sent[0] && sent[0].chunks[0]).toBe(bytes);
  });

  it("sends a bounded amount in one turn, small chunks as one frame", () => {
    const { stream, sent } = createOpenStream({ peerWindowBytes: tunnelLimits.maxWindowBytes });
    for (let count = 0; count < 20_000; count += 1) {
      stream.write(some(10));
    }
    sent.length = 0;
    stream.flush();
    const chunks = sent.flatMap((one) => ("chunks" in one ? one.chunks : []));
    const sentBytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
    expect([sent.length, sentBytes]).toEqual([1, tunnelLimits.turnDataBytes]);
  });

  it("closes behind the queued bytes, with the position of the end", () => {
    const { stream, flush } = createOpenStream({ peerWindowBytes: 10 });
    stream.write(some(15));
    stream.close();
    stream.close();
    expect(codeOf(() => stream.write(some(1)))).toBe("tunnel.protocol");
    expect(flush()).toEqual(["DATA 0"]);
    expect(stream.state).toBe("open");
    expect(stream.receiveWindow(20)).toBe(false);
    expect(flush()).toEqual(["DATA 10", "CLOSE 15"]);
    expect(stream.state).toBe("halfClosedLocal");
  });

  it("drops what is queued on a reset from either side", () => {
    const ours = createOpenStream();
    ours.stream.write(some(5));
    ours.stream.reset(map);
    expect(ours.flush()).toEqual(["RESET"]);
    const theirs = createOpenStream();
    theirs.stream.write(some(5));
    theirs.stream.close();
    theirs.stream.receiveReset();
    expect(theirs.flush()).toEqual([`ACK ${tunnelLimits.maxPosition}`]);
  });
});

describe("the end", () => {
  const reset = () => {
    const made = createOpenStream();
    made.stream.reset(map);
    made.flush();
    return made;
  };

  it("is remembered until the peer knows it", () => {
    const { stream } = reset();
    stream.receiveAck(0);
    expect(stream.isFinished).toBe(false);
    stream.receiveAck(tunnelLimits.maxPosition);
    expect(stream.isFinished).toBe(true);
  });

  it("is the end also where two RESETs crossed, whatever order the rest comes in", () => {
    const { stream, flush } = reset();
    stream.receiveReset();
    stream.receiveAck(tunnelLimits.maxPosition);
    expect([stream.isFinished, flush(), stream.isFinished]).toEqual([
      false,
      [`ACK ${tunnelLimits.maxPosition}`],
      true,
    ]);
  });
});

describe("receiving", () => {
  it("takes bytes up to its limit and not one more (invariant 11)", () => {
    expect(codeOf(() => createOpenStream().stream.receiveData(0, 100))).toBe("none");
    expect(codeOf(() => createOpenStream().stream.receiveData(0, 101))).toBe(
      "tunnel.window_overrun",
    );
  });

  it("refuses a gap and an overlap", () => {
    const { stream } = createOpenStream();
    stream.receiveData(0, 10);
    expect(codeOf(() => stream.receiveData(11, 1))).toBe("tunnel.protocol");
    expect(codeOf(() => stream.receiveData(9, 1))).toBe("tunnel.protocol");
  });

  it("gives new credit and an acknowledgement once a quarter of the window is consumed", () => {
    const { stream, flush } = createOpenStream();
    stream.receiveData(0, 80);
    // A quarter of the window came, so that much need not be kept any longer.
    expect(flush()).toEqual(["ACK 80"]);
    stream.consumed(24);
    expect(flush()).toEqual([]);
    stream.consumed(26);
    expect(flush()).toEqual(["WINDOW 150", "ACK 80"]);
    stream.receiveData(80, 70);
    expect(codeOf(() => stream.receiveData(150, 1))).toBe("tunnel.window_overrun");
  });

  it("counts against the limit that was sent, not the one that is about to be", () => {
    const { stream } = createOpenStream();
    stream.receiveData(0, 100);
    stream.consumed(100);
    expect(codeOf(() => stream.receiveData(100, 1))).toBe("tunnel.window_overrun");
  });

  it("goes on after our own close, credit included", () => {
    const { stream, flush } = createOpenStream();
    stream.close();
    flush();
    stream.receiveData(0, 60);
    stream.consumed(60);
    expect(flush()).toEqual(["WINDOW 160", "ACK 60"]);
  });

  it("gives no more credit once the peer has closed", () => {
    const { stream, flush } = createOpenStream();
    stream.receiveData(0, 100);
    stream.consumed(60);
    stream.receiveClose(100);
    stream.consumed(40);
    expect(flush()).toEqual(["ACK 101"]);
  });

  it("refuses to consume more than was received", () => {
    const { stream } = createOpenStream();
    stream.receiveData(0, 5);
    expect(codeOf(() => stream.consumed(6))).toBe("tunnel.protocol");
  });

  it("refuses a CLOSE that does not stand at the end, also as a repeat", () => {
    const { stream } = createOpenStream();
    stream.receiveData(0, 5);
    expect(stream.receiveClose(5)).toBe(true);
    expect(stream.receiveClose(5)).toBe(false);
    expect(codeOf(() => stream.receiveClose(4))).toBe("tunnel.protocol");
    expect(codeOf(() => createOpenStream().stream.receiveClose(1))).toBe("tunnel.protocol");
  });
});
