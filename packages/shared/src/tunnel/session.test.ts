import { describe, expect, it } from "vitest";
import { JitdbError } from "../errors.ts";
import { Secret } from "../secret.ts";
import type { TunnelEvent } from "./events.ts";
import { decodeFrames, encodeFrame, type Frame } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";
import { encodeMap, type OpenMap } from "./maps.ts";
import { TunnelSession } from "./session.ts";
import type { TunnelSessionOptions } from "./session-options.ts";

const nowMs = 1_000;
const openMap: OpenMap = {
  engine: "postgres",
  kind: "session",
  grant: "grt_1",
  startup: Uint8Array.of(1, 2, 3),
};
const refusal = { code: "grant.expired", message: "It is over." };

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  const message = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let offset = 0;
  for (const chunk of chunks) {
    message.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return message;
}

function takeAll(session: TunnelSession): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let chunks = session.takeOutput(); chunks !== null; chunks = session.takeOutput()) {
    messages.push(concat(chunks));
  }
  return messages;
}

/** Carries everything from one end to the other and gives the events there. */
function carry(from: TunnelSession, to: TunnelSession): TunnelEvent[] {
  return takeAll(from).flatMap((message) => to.receive(message, nowMs));
}

function typesOf(events: readonly TunnelEvent[]): string[] {
  return events.map((event) => event.type);
}

function sentFrames(session: TunnelSession): Frame[] {
  return takeAll(session).flatMap(decodeFrames);
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

const message = (...frames: Frame[]) => concat(frames.map(encodeFrame));
const helloFrame: Frame = {
  type: "HELLO",
  stream: 0,
  payload: encodeMap("HELLO", { version: 1, software: "test", windowBytes: 1000 }),
};
const openFrame = (stream: number): Frame => ({
  type: "OPEN",
  stream,
  payload: encodeMap("OPEN", openMap),
});
const pingFrame = (value: number): Frame => ({ type: "PING", stream: 0, answer: false, value });

/** Two ends that have met. */
function createPair(options: Partial<TunnelSessionOptions> = {}) {
  const agent = new TunnelSession({ role: "agent", software: "cli", ...options });
  const gateway = new TunnelSession({ role: "gateway", software: "server", ...options });
  carry(agent, gateway);
  carry(gateway, agent);
  return { agent, gateway };
}

function openStream({ agent, gateway }: ReturnType<typeof createPair>): number {
  const id = agent.open(openMap);
  carry(agent, gateway);
  gateway.opened(id, { session: "ses_1" });
  carry(gateway, agent);
  return id;
}

/** A gateway that has met a peer whose frames the test writes. */
function createGateway(options: Partial<TunnelSessionOptions> = {}): TunnelSession {
  const gateway = new TunnelSession({ role: "gateway", software: "server", ...options });
  gateway.receive(message(helloFrame), nowMs);
  takeAll(gateway);
  return gateway;
}

describe("the start of a tunnel", () => {
  it("is a HELLO both ways, the gateway's with the number of streams", () => {
    const agent = new TunnelSession({ role: "agent", software: "cli" });
    const gateway = new TunnelSession({ role: "gateway", software: "server", maxStreams: 3 });
    const { windowBytes } = tunnelLimits;
    expect(carry(agent, gateway)).toEqual([
      { type: "hello", hello: { version: 2, software: "cli", windowBytes } },
    ]);
    expect(carry(gateway, agent)).toEqual([
      { type: "hello", hello: { version: 2, software: "server", windowBytes, maxStreams: 3 } },
    ]);
  });

  it("is refused when anything else comes first, or HELLO again", () => {
    const gateway = new TunnelSession({ role: "gateway", software: "server" });
    expect(codeOf(() => gateway.receive(message(pingFrame(1)), nowMs))).toBe("tunnel.protocol");
    expect(codeOf(() => createGateway().receive(message(helloFrame), nowMs))).toBe(
      "tunnel.protocol",
    );
  });

  it("opens no stream before the gateway's HELLO", () => {
    const agent = new TunnelSession({ role: "agent", software: "cli" });
    expect(codeOf(() => agent.open(openMap))).toBe("tunnel.protocol");
  });
});

describe("a stream", () => {
  it("is opened, carries bytes both ways and is closed by both, agent first", () => {
    const pair = createPair();
    const { agent, gateway } = pair;
    const id = agent.open(openMap);
    expect(carry(agent, gateway)).toEqual([{ type: "open", stream: id, open: openMap }]);
    gateway.opened(id, { session: "ses_1" });
    expect(carry(gateway, agent)).toEqual([
      { type: "opened", stream: id, opened: { session: "ses_1" } },
    ]);
    agent.write(id, Uint8Array.of(1, 2));
    agent.close(id);
    expect(carry(agent, gateway)).toEqual([
      { type: "data", stream: id, bytes: Uint8Array.of(1, 2) },
      { type: "peerClosed", stream: id },
    ]);
    gateway.write(id, Uint8Array.of(3));
    gateway.close(id);
    expect(typesOf(carry(gateway, agent))).toEqual(["data", "peerClosed", "closed"]);
    // The gateway's CLOSE was the last one: its own `closed` comes with whatever it receives next.
    agent.ping(nowMs);
    expect(carry(agent, gateway)).toEqual([{ type: "closed", stream: id }]);
  });

  it("gets odd ids, ascending, never used again", () => {
    const pair = createPair();
    const first = openStream(pair);
    pair.agent.reset(first, refusal);
    carry(pair.agent, pair.gateway);
    expect([first, openStream(pair), openStream(pair)]).toEqual([1, 3, 5]);
  });

  it("is refused with a code, a message and a hint", () => {
    const { agent, gateway } = createPair();
    const id = agent.open(openMap);
    carry(agent, gateway);
    gateway.reset(id, { ...refusal, hint: "Ask again." });
    expect(carry(gateway, agent)).toEqual([
      { type: "reset", stream: id, reset: { ...refusal, hint: "Ask again." } },
    ]);
  });

  it("is opened once, however often OPEN comes (invariant 7)", () => {
    const gateway = createGateway();
    expect(typesOf(gateway.receive(message(openFrame(1), openFrame(1)), nowMs))).toEqual(["open"]);
    gateway.reset(1, refusal);
    takeAll(gateway);
    expect(gateway.receive(message(openFrame(1)), nowMs)).toEqual([]);
    expect(takeAll(gateway)).toEqual([]);
  });

  it("ignores calls and frames after its end, and knows one that never was (invariant 11)", () => {
    const pair = createPair();
    const id = openStream(pair);
    pair.agent.write(id, Uint8Array.of(1));
    pair.gateway.reset(id, refusal);
    expect(carry(pair.agent, pair.gateway)).toEqual([]);
    expect(typesOf(carry(pair.gateway, pair.agent))).toEqual(["reset"]);
    expect(pair.agent.write(id, Uint8Array.of(1))).toBe(false);
    pair.agent.consumed(id, 1);
    pair.agent.close(id);
    pair.agent.reset(id, refusal);
    expect(sentFrames(pair.agent)).toEqual([
      { type: "ACK", stream: id, position: tunnelLimits.maxPosition },
    ]);
    expect(codeOf(() => pair.agent.write(id + 2, Uint8Array.of(1)))).toBe("tunnel.protocol");
  });

  it("is told to wait and to go on by the reader's pace", () => {
    const pair = createPair({ windowBytes: 100 });
    const id = openStream(pair);
    expect(pair.agent.write(id, new Uint8Array(100))).toBe(true);
    expect(pair.agent.write(id, new Uint8Array(20))).toBe(false);
    expect(typesOf(carry(pair.agent, pair.gateway))).toEqual(["data"]);
    pair.gateway.consumed(id, 60);
    expect(carry(pair.gateway, pair.agent)).toEqual([{ type: "writable", stream: id }]);
    expect(typesOf(carry(pair.agent, pair.gateway))).toEqual(["data", "pong"]);
  });
});

describe("a hostile peer", () => {
  const data = (stream: number, position: number, byteCount: number): Frame => ({
    type: "DATA",
    stream,
    position,
    body: new Uint8Array(byteCount),
  });

  it("ends its tunnel with a frame for a stream that never was (invariant 11)", () => {
    for (const stream of [2, 3, 4_000_000_001]) {
      const gateway = createGateway();
      gateway.receive(message(openFrame(1)), nowMs);
      expect(codeOf(() => gateway.receive(message(data(stream, 0, 1)), nowMs))).toBe(
        "tunnel.protocol",
      );
    }
    expect(codeOf(() => createGateway().receive(message(openFrame(2)), nowMs))).toBe(
      "tunnel.protocol",
    );
  });

  it("ends its tunnel by sending more than its credit, and is told so (invariant 11)", () => {
    const gateway = createGateway({ windowBytes: 10 });
    gateway.receive(message(openFrame(1)), nowMs);
    gateway.opened(1, { session: "ses_1" });
    takeAll(gateway);
    expect(codeOf(() => gateway.receive(message(data(1, 0, 11)), nowMs))).toBe(
      "tunnel.window_overrun",
    );
    const [goaway, ...more] = sentFrames(gateway);
    expect(more).toEqual([]);
    expect(goaway?.type === "GOAWAY" && new TextDecoder().decode(goaway.payload)).toContain(
      '"code":"tunnel.window_overrun"',
    );
    expect(gateway.receive(message(openFrame(3)), nowMs)).toEqual([]);
    expect(gateway.write(1, Uint8Array.of(1))).toBe(false);
  });

  it("ends its tunnel by opening too many streams, also when each was refused but no answer read", () => {
    const gateway = createGateway({ maxStreams: 2 });
    gateway.receive(message(openFrame(1), openFrame(3)), nowMs);
    gateway.reset(1, refusal);
    expect(codeOf(() => gateway.receive(message(openFrame(5)), nowMs))).toBe(
      "tunnel.too_many_streams",
    );
  });

  it("gets one answer to a flood of PINGs, to the newest", () => {
    const gateway = createGateway();
    gateway.receive(message(...Array.from({ length: 50_000 }, (_, n) => pingFrame(n))), nowMs);
    expect(sentFrames(gateway)).toEqual([{ type: "PING", stream: 0, answer: true, value: 49_999 }]);
  });

  it("cannot answer a PING that nobody sent", () => {
    const answer: Frame = { type: "PING", stream: 0, answer: true, value: 1 };
    expect(codeOf(() => createGateway().receive(message(answer), nowMs))).toBe("tunnel.protocol");
  });

  it("cannot hold a huge message in memory by one byte in it (invariant 11)", () => {
    const gateway = createGateway();
    gateway.receive(message(openFrame(1)), nowMs);
    gateway.opened(1, { session: "ses_1" });
    const padding = Array.from({ length: 1000 }, (_, n) => pingFrame(n));
    const [event] = gateway.receive(message(data(1, 0, 1), ...padding), nowMs);
    expect(event?.type === "data" && event.bytes.buffer.byteLength).toBe(1);
    const whole = message(data(1, 1, 500));
    const [next] = gateway.receive(whole, nowMs);
    expect(next?.type === "data" && next.bytes.buffer).toBe(whole.buffer);
  });

  it("cannot send what only the other role may", () => {
    const payload = encodeMap("OPENED", { session: "ses_1" });
    const gateway = createGateway();
    gateway.receive(message(openFrame(1)), nowMs);
    const opened: Frame = { type: "OPENED", stream: 1, payload };
    expect(codeOf(() => gateway.receive(message(opened), nowMs))).toBe("tunnel.protocol");
    const agent = createPair().agent;
    expect(codeOf(() => agent.receive(message(openFrame(1)), nowMs))).toBe("tunnel.protocol");
    expect(codeOf(() => createPair().gateway.open(openMap))).toBe("tunnel.protocol");
  });
});

describe("the tunnel itself", () => {
  it("carries notices, tokens and the wish to end", () => {
    const { agent, gateway } = createPair();
    const notice = {
      kind: "revoked",
      grant: "grt_1",
      expiresAt: "2026-11-23T10:00:00.000Z",
      message: "Revoked.",
    } as const;
    gateway.notice(notice);
    expect(carry(gateway, agent)).toEqual([{ type: "notice", notice }]);
    agent.auth({ accessToken: new Secret("token"), proof: "proof" });
    const [event] = carry(agent, gateway);
    expect(event?.type === "auth" && event.auth.accessToken.reveal()).toBe("token");
    agent.goAway(refusal);
    expect(carry(agent, gateway)).toEqual([{ type: "goaway", goaway: refusal }]);
  });

  it("measures one round trip at a time", () => {
    const { agent, gateway } = createPair();
    agent.ping(1_000);
    agent.ping(1_500);
    const [ping, ...more] = takeAll(agent);
    expect(more).toEqual([]);
    gateway.receive(ping ?? new Uint8Array(), 0);
    const [answer] = takeAll(gateway);
    expect(agent.receive(answer ?? new Uint8Array(), 1_700)).toEqual([
      { type: "pong", roundTripMs: 700 },
    ]);
    agent.ping(2_000);
    expect(takeAll(agent)).toHaveLength(1);
  });

  it("opens nothing more after GOAWAY, refuses what crossed it, and lets the rest go on", () => {
    const pair = createPair();
    const { agent, gateway } = pair;
    const old = openStream(pair);
    gateway.goAway({ code: "tunnel.going_away", message: "The server restarts." });
    const crossing = agent.open(openMap);
    expect(carry(agent, gateway)).toEqual([]);
    expect(typesOf(carry(gateway, agent))).toEqual(["goaway", "reset"]);
    expect(codeOf(() => agent.open(openMap))).toBe("tunnel.going_away");
    expect(agent.write(old, Uint8Array.of(1))).toBe(true);
    expect(typesOf(carry(agent, gateway))).toEqual(["data"]);
    expect(agent.write(crossing, Uint8Array.of(1))).toBe(false);
  });

  it("refuses a stream over the gateway's number, and takes one when another is over", () => {
    const pair = createPair({ maxStreams: 1 });
    const id = openStream(pair);
    expect(codeOf(() => pair.agent.open(openMap))).toBe("tunnel.too_many_streams");
    pair.agent.reset(id, refusal);
    carry(pair.agent, pair.gateway);
    expect(codeOf(() => pair.agent.open(openMap))).toBe("tunnel.too_many_streams");
    carry(pair.gateway, pair.agent);
    expect(openStream(pair)).toBe(id + 2);
  });
});

describe("takeOutput", () => {
  it("gives a body as it was written, behind its header", () => {
    const pair = createPair();
    const id = openStream(pair);
    const bytes = new Uint8Array(1000);
    pair.agent.write(id, bytes);
    const chunks = pair.agent.takeOutput();
    expect(chunks?.map((chunk) => chunk.byteLength)).toEqual([16, 1000]);
    expect(chunks?.[1]).toBe(bytes);
    expect(pair.agent.takeOutput()).toBeNull();
  });

  it("takes turns, and never makes a message over the limit", () => {
    const pair = createPair({ windowBytes: tunnelLimits.maxWindowBytes });
    const ids = [openStream(pair), openStream(pair), openStream(pair)];
    for (const id of ids) {
      pair.agent.write(id, new Uint8Array(600_000));
    }
    const messages = takeAll(pair.agent);
    expect(messages.length).toBeGreaterThan(1);
    for (const sent of messages) {
      expect(sent.byteLength).toBeLessThanOrEqual(tunnelLimits.maxMessageBytes);
    }
    const order = messages.flatMap(decodeFrames).map((frame) => frame.stream);
    expect(order.slice(0, 6)).toEqual([...ids, ...ids]);
  });

  it("spreads the tunnel's own frames over messages, too", () => {
    const { agent } = createPair();
    for (let count = 0; count < 100; count += 1) {
      agent.auth({ accessToken: new Secret("t".repeat(16_000)), proof: "p".repeat(16_000) });
    }
    const messages = takeAll(agent);
    expect(messages.flatMap(decodeFrames)).toHaveLength(100);
    for (const sent of messages) {
      expect(sent.byteLength).toBeLessThanOrEqual(tunnelLimits.maxMessageBytes);
    }
  });
});
