// A session that the gateway has announced: the word of it, and the client's bytes that come with their OPEN.

import { describe, expect, it } from "vitest";
import type { TunnelEvent } from "./events.ts";
import { decodeFrames, encodeFrame, type Frame } from "./frame.ts";
import { tunnelLimits } from "./limits.ts";
import { encodeMap, type OpenMap } from "./maps.ts";
import { TunnelSession } from "./session.ts";

const openMap: OpenMap = {
  engine: "postgres",
  kind: "session",
  grant: "grt_1",
  startup: Uint8Array.of(1, 2, 3),
};

function concat(chunks: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(chunks.flatMap((chunk) => [...chunk]));
}

function takeAll(session: TunnelSession): Uint8Array[] {
  const messages: Uint8Array[] = [];
  for (let chunks = session.takeOutput(); chunks !== null; chunks = session.takeOutput()) {
    messages.push(concat(chunks));
  }
  return messages;
}

function carry(from: TunnelSession, to: TunnelSession): TunnelEvent[] {
  return takeAll(from).flatMap((message) => to.receive(message, 0));
}

function sentFrames(session: TunnelSession): Frame[] {
  return takeAll(session).flatMap(decodeFrames);
}

/** Two ends that have met. */
function createPair() {
  const agent = new TunnelSession({ role: "agent", software: "cli" });
  const gateway = new TunnelSession({ role: "gateway", software: "server" });
  carry(agent, gateway);
  carry(gateway, agent);
  return { agent, gateway };
}

/** A gateway that has met an agent of this revision, whose frames the test writes. */
function createGateway(version: number, windowBytes: number): TunnelSession {
  const gateway = new TunnelSession({ role: "gateway", software: "server", windowBytes });
  const payload = encodeMap("HELLO", { version, software: "test", windowBytes });
  gateway.receive(encodeFrame({ type: "HELLO", stream: 0, payload }), 0);
  return gateway;
}

describe("a session that is announced", () => {
  const spare = {
    id: "spr_1",
    engine: "postgres",
    grant: "grt_1",
    startup: Uint8Array.of(1, 2, 3),
    greeting: Uint8Array.of(82, 0),
  };

  it("is told to the agent, and taken back", () => {
    const { agent, gateway } = createPair();
    expect(gateway.spare(spare)).toBe(true);
    gateway.spent({ id: "spr_1" });
    expect(carry(gateway, agent)).toEqual([
      { type: "spare", spare },
      { type: "spent", spent: { id: "spr_1" } },
    ]);
  });

  it("is none for an agent of revision 1, for one without a WebSocket, and for one that has not said hello", () => {
    const early = new TunnelSession({ role: "gateway", software: "server" });
    const { gateway: parked } = createPair();
    parked.detach();
    const old = createGateway(1, 10);
    for (const gateway of [early, parked, old]) {
      takeAll(gateway);
      expect(gateway.spare(spare)).toBe(false);
      gateway.spent({ id: "spr_1" });
      expect(sentFrames(gateway)).toEqual([]);
    }
  });

  it("lets a client's bytes come with its OPEN, acknowledged with the answer", () => {
    const { agent, gateway } = createPair();
    const open = { ...openMap, spare: "spr_1" };
    const id = agent.open(open);
    agent.write(id, Uint8Array.of(7));
    expect(carry(agent, gateway)).toEqual([
      { type: "open", stream: id, open },
      { type: "data", stream: id, bytes: Uint8Array.of(7) },
    ]);
    expect(sentFrames(gateway)).toEqual([]);
    gateway.opened(id, { session: "ses_1" });
    expect(sentFrames(gateway).map(({ type }) => type)).toEqual(["OPENED", "ACK"]);
  });

  it("changes nothing in the order of OPENs, however much is behind one", () => {
    const { agent, gateway } = createPair();
    const first = agent.open({ ...openMap, spare: "spr_1" });
    agent.write(first, new Uint8Array(tunnelLimits.smallTurnBytes + 1));
    const second = agent.open(openMap);
    const opens = carry(agent, gateway).filter(({ type }) => type === "open");
    expect(opens.map((event) => "stream" in event && event.stream)).toEqual([first, second]);
  });

  it("ends the tunnel where a client sends more ahead than its first credit (invariant 11)", () => {
    const gateway = createGateway(2, 10);
    const payload = encodeMap("OPEN", { ...openMap, spare: "spr_1" });
    const message = concat([
      encodeFrame({ type: "OPEN", stream: 1, payload }),
      encodeFrame({ type: "DATA", stream: 1, position: 0, body: new Uint8Array(11) }),
    ]);
    const failure = expect.objectContaining({ code: "tunnel.window_overrun" });
    expect(() => gateway.receive(message, 0)).toThrow(failure);
  });
});
