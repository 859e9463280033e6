import { JitdbError } from "@jitdb/shared/errors";
import { expect, test } from "vitest";
import { Turn } from "./turn.ts";

const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

function createTurn(flush = () => undefined as undefined) {
  const calls: string[] = [];
  const turn = new Turn({
    flush() {
      calls.push("flush");
      flush();
    },
    settle() {
      calls.push("settle");
    },
  });
  const forwarder = (name: string) => ({
    forward(failure: JitdbError | undefined) {
      calls.push(`forward ${name} ${failure?.code ?? "recorded"}`);
      turn.send(sender);
    },
  });
  const sender = { send: () => calls.push("send") };
  return { calls, turn, forwarder, sender };
}

test("writes the records of a turn once, then forwards, then sends (invariant 20)", async () => {
  const { calls, turn, forwarder, sender } = createTurn();
  const one = forwarder("one");
  turn.send(sender);
  turn.forward(one);
  turn.forward(one);
  turn.forward(forwarder("two"));
  expect(calls).toEqual([]);
  await nextTurn();
  expect(calls).toEqual([
    "flush",
    "forward one recorded",
    "forward two recorded",
    "send",
    "settle",
  ]);
});

test("sends what needs no record at once, and writes outcomes soon", async () => {
  const { calls, turn, sender } = createTurn();
  turn.send(sender);
  await nextTurn();
  expect(calls).toEqual(["send", "settle"]);
  await expect.poll(() => calls, { interval: 5 }).toEqual(["send", "settle", "flush"]);
});

test("writes at the end of the turn what it is asked to, without a statement", async () => {
  const { calls, turn } = createTurn();
  turn.flush();
  await nextTurn();
  expect(calls).toEqual(["flush", "settle"]);
});

test("tells everybody who waits that nothing was recorded (invariant 20)", async () => {
  const { calls, turn, forwarder } = createTurn(() => {
    throw new JitdbError("audit.unavailable", "The disk is full.");
  });
  turn.forward(forwarder("one"));
  turn.forward(forwarder("two"));
  await nextTurn();
  expect(calls).toEqual([
    "flush",
    "forward one audit.unavailable",
    "forward two audit.unavailable",
    "send",
    "settle",
  ]);
});
