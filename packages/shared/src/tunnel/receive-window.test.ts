import { describe, expect, it } from "vitest";
import { tunnelLimits } from "./limits.ts";
import { ReceiveWindow } from "./receive-window.ts";
import { RoundTrips } from "./round-trips.ts";
import { TunnelStream } from "./stream.ts";

const { windowBytes, maxWindowBytes, growthBytes } = tunnelLimits;

/** Receives and consumes; gives what the peer may send then. */
function pass(window: ReceiveWindow, byteCount: number): number {
  window.receive(byteCount);
  window.consume(byteCount);
  return window.extend() - window.received;
}

describe("a window", () => {
  it("doubles while each round trip brings all of it, up to its cap", () => {
    const window = new ReceiveWindow(1, windowBytes);
    const credits: number[] = [windowBytes];
    for (let round = 0; round < 12; round += 1) {
      window.startSample(50 * round, 50);
      pass(window, credits.at(-1) ?? 0);
      window.endSample(50 * (round + 1), 50, growthBytes, maxWindowBytes);
      credits.push(pass(window, 0));
    }
    expect(credits.slice(0, 4)).toEqual([1, 2, 4, 8].map((times) => times * windowBytes));
    expect(credits.at(-1)).toBe(maxWindowBytes);
  });

  it("does not grow for a sender that it does not hold back", () => {
    const window = new ReceiveWindow(1, windowBytes);
    window.startSample(0, 50);
    pass(window, windowBytes / 2);
    window.endSample(50, 50, growthBytes, maxWindowBytes);
    expect(window.grownBytes).toBe(0);
  });

  it("grows for a sender whose bursts come one half within the round trip that is measured, and one half between two", () => {
    const window = new ReceiveWindow(1, windowBytes);
    const credits: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      const credit = window.extend() - window.received;
      window.startSample(60 * round, 50);
      pass(window, credit / 2);
      window.endSample(60 * round + 50, 50, growthBytes, maxWindowBytes);
      pass(window, credit / 2);
      credits.push(credit / windowBytes);
    }
    expect(credits[0]).toBe(1);
    expect(credits.at(-1)).toBeGreaterThan(3);
  });

  it("is not measured over the time in which its program rested", () => {
    const window = new ReceiveWindow(1, windowBytes);
    window.startSample(0, 50);
    window.endSample(50, 50, growthBytes, maxWindowBytes);
    window.startSample(10_000, 50);
    pass(window, windowBytes);
    window.endSample(10_050, 50, growthBytes, maxWindowBytes);
    expect(window.grownBytes).toBe(windowBytes);
  });

  it("does not grow where its bytes only wait in queues of the path", () => {
    const window = new ReceiveWindow(1, 4 * windowBytes);
    window.startSample(0, 50);
    pass(window, 4 * windowBytes);
    // The round trip took three times as long as the path alone.
    window.endSample(150, 50, growthBytes, maxWindowBytes);
    expect(window.grownBytes).toBe(0);
  });

  it("grows on a near path as if that took two milliseconds, up to its near size, and beyond by what it takes", () => {
    const grown = (roundTripMs: number, bytesPerMs: number) => {
      const window = new ReceiveWindow(1, windowBytes);
      let now = 0;
      window.startSample(now, roundTripMs);
      // An answer comes every half millisecond; a sample takes two.
      for (let count = 0; count < 200; count += 1) {
        now += 0.5;
        pass(window, Math.min(bytesPerMs / 2, window.extend() - window.received));
        window.endSample(now, roundTripMs, growthBytes, maxWindowBytes);
        window.startSample(now, roundTripMs);
      }
      return windowBytes + window.grownBytes;
    };
    expect(grown(0.1, 1000)).toBe(windowBytes);
    expect(grown(0.1, 50_000)).toBe(tunnelLimits.nearWindowBytes);
    // Doubled until twice the product, half a million, is not over it.
    expect(grown(0.5, 500_000)).toBe(8 * windowBytes);
  });

  it("takes no more than its budget", () => {
    const window = new ReceiveWindow(1, windowBytes);
    window.startSample(0, 50);
    pass(window, windowBytes);
    window.endSample(50, 50, 1000, maxWindowBytes);
    expect(window.grownBytes).toBe(1000);
  });

  it("is the first one again for a stream that rests, once the credit that it gave is used", () => {
    const window = new ReceiveWindow(1, windowBytes);
    window.startSample(0, 50);
    pass(window, windowBytes);
    window.endSample(50, 50, growthBytes, maxWindowBytes);
    window.rest();
    expect(pass(window, 0)).toBe(2 * windowBytes);
    window.rest();
    expect([window.grownBytes, window.isCreditDue]).toEqual([windowBytes, false]);
    pass(window, 2 * windowBytes);
    expect([window.grownBytes, window.extend() - window.received]).toEqual([0, windowBytes]);
  });

  it("counts frames that wait for their reader, and forgets them as their bytes are read", () => {
    const window = new ReceiveWindow(1, 100);
    for (let count = 0; count < 10; count += 1) {
      window.receive(1);
    }
    expect(window.unreadFrames).toBe(10);
    expect([window.consume(5), window.unreadFrames]).toEqual([true, 5]);
    expect([window.consume(5), window.unreadFrames]).toEqual([true, 0]);
    expect(window.consume(1)).toBe(false);
  });
});

describe("round trips", () => {
  const createStream = () =>
    new TunnelStream({
      id: 1,
      windowBytes,
      peerWindowBytes: windowBytes,
      sender: { send: () => undefined, sendData: () => undefined },
    });

  it("say how long the path takes, after the shortest", () => {
    const sent: number[] = [];
    const trips = new RoundTrips((value) => sent.push(value));
    const smallest = [50, 100, 40, 80].map((ms) => {
      trips.ping(1000);
      return trips.answer(sent.at(-1) ?? 0, 1000 + ms).smallestMs;
    });
    expect(smallest).toEqual([50, 50, 40, 40]);
    // Another path may be longer.
    trips.forget();
    trips.ping(0);
    expect(trips.answer(sent.at(-1) ?? 0, 200).smallestMs).toBe(200);
  });

  it("measure a stream from one PING to its answer, and at once the next time", () => {
    const sent: number[] = [];
    const trips = new RoundTrips((value) => sent.push(value));
    const stream = createStream();
    trips.ping(0);
    trips.measure(stream, 1);
    expect([sent, [...trips.answer(1, 10).streams]]).toEqual([[1], []]);
    trips.measure(stream, 11);
    expect([sent, [...trips.answer(2, 20).streams]]).toEqual([[1, 2], [stream]]);
  });
});
