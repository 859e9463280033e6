// Where connections are cut, and what has to be the same whatever is cut.

import { expect } from "vitest";
import type { Carrier, Cut, Direction } from "./carriers.ts";
import {
  Conversation,
  expected,
  type Outcome,
  type Seen,
  type StreamKind,
} from "./conversation.ts";

/** The streams whose bytes all arrive; of the others a reset drops some. */
const wholeKinds: readonly StreamKind[] = ["echo", "push", "refuse", "cancel", "ahead"];

/** Has the conversation without a cut, then with each of them, and compares. Gives the number of connections that were needed. */
export async function survive(carrier: Carrier, cuts: Iterable<readonly Cut[]>): Promise<number> {
  const oracle = await new Conversation(carrier, []).run();
  const seenOf = (outcome: Outcome, side: "agent" | "gateway", kind: StreamKind) =>
    outcome[side].find((seen) => seen.kind === kind);
  expect(seenOf(oracle, "gateway", "echo")?.received).toBe(expected.echo);
  expect(seenOf(oracle, "agent", "echo")?.received).toBe(expected.echo);
  expect(seenOf(oracle, "agent", "ahead")?.received).toBe(expected.echo);
  expect(seenOf(oracle, "agent", "push")?.received).toBe(expected.push);
  let connections = 0;
  for (const some of cuts) {
    const outcome = await new Conversation(carrier, some).run();
    connections += outcome.connections;
    expect({ ...comparable(outcome), cuts: some }).toEqual({ ...comparable(oracle), cuts: some });
  }
  return connections;
}

/** How many bytes pass in one conversation, in each direction. */
export async function measure(carrier: Carrier): Promise<Readonly<Record<Direction, number>>> {
  const before = { ...carrier.passed };
  await new Conversation(carrier, []).run();
  return {
    toGateway: carrier.passed.toGateway - before.toGateway,
    toAgent: carrier.passed.toAgent - before.toAgent,
  };
}

function comparable({ agent, gateway, lost, remembered }: Outcome) {
  return { agent: agent.map(endOf), gateway: gateway.map(endOf), lost, remembered };
}

/** `closed` and `peerClosed` may change places where both sides close at once. */
function endOf({ kind, events, received }: Seen) {
  const isWhole = wholeKinds.includes(kind);
  return { kind, events: [...events].sort(), received: isWhole ? received : undefined };
}
