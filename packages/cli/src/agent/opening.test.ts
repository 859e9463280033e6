import { JitdbError } from "@jitdb/shared/errors";
import type { OpenMap, SpareMap } from "@jitdb/shared/tunnel/maps";
import { expect, it } from "vitest";
import { Opening } from "./opening.ts";
import type { AgentStream, StreamReceiver } from "./stream.ts";

const map: OpenMap = {
  engine: "postgres",
  kind: "session",
  grant: "grt_1",
  startup: Uint8Array.of(1),
};
const spare: SpareMap = {
  id: "spr_1",
  engine: "postgres",
  grant: "grt_1",
  startup: Uint8Array.of(1),
  greeting: Uint8Array.of(82, 90),
};
const ended = new JitdbError("grant.expired", "It is over.");
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A stream that is asked for; what its two ends are told is noted. */
function ask(announced?: SpareMap, answerTimeoutMs = 60_000) {
  const calls: string[] = [];
  const stream: AgentStream = {
    write: (bytes) => calls.push(`write ${bytes}`) > 0,
    consumed: (bytes) => calls.push(`consumed ${bytes}`),
    close: () => calls.push("close"),
    reset: ({ code }) => calls.push(`reset ${code}`),
  };
  const link = {
    takeAnnounced: () => announced,
    open: (open: OpenMap) => {
      calls.push(`open ${open.spare}`);
      return stream;
    },
  };
  const told: string[] = [];
  const receiver: StreamReceiver = {
    opened: () => told.push("opened"),
    data: (bytes) => {
      told.push(`data ${bytes}`);
      opening.consumed(bytes);
    },
    writable: () => told.push("writable"),
    peerClosed: () => told.push("peerClosed"),
    ended: (error) => told.push(`ended ${error?.code}`),
  };
  const opening = new Opening(link, map, receiver, answerTimeoutMs);
  return { opening, calls, told };
}

it("tells a client that was not greeted when it is let in", async () => {
  const { opening, calls, told } = ask();
  await turn();
  expect([calls, told]).toEqual([["open undefined"], []]);
  opening.opened();
  opening.data(Uint8Array.of(7));
  expect(told).toEqual(["opened", "data 7"]);
  expect(calls).toContain("consumed 7");
  opening.ended(undefined);
});

it("greets a client once it has its stream, and counts nothing of that as bytes of the stream", async () => {
  const { opening, calls, told } = ask(spare);
  expect(told).toEqual([]);
  await turn();
  expect(told).toEqual(["opened", "data 82,90"]);
  opening.write(Uint8Array.of(7));
  opening.opened();
  opening.data(Uint8Array.of(8));
  expect(told).toEqual(["opened", "data 82,90", "data 8"]);
  expect(calls).toEqual(["open spr_1", "write 7", "consumed 8"]);
  opening.ended(undefined);
});

it("keeps the end of a greeted client until there is an answer", async () => {
  const { opening, calls } = ask(spare);
  await turn();
  opening.close();
  expect(calls).toEqual(["open spr_1"]);
  opening.opened();
  expect(calls).toEqual(["open spr_1", "close"]);
  opening.ended(undefined);
});

it("greets nobody whose stream is over by then", async () => {
  const refused = ask(spare);
  refused.opening.ended(ended);
  const left = ask(spare);
  left.opening.reset(ended);
  await turn();
  expect([refused.told, left.told]).toEqual([["ended grant.expired"], []]);
});

it("ends a stream that the server does not answer, greeted or not", async () => {
  const { calls, told } = ask(spare, 20);
  await expect.poll(() => told.at(-1), { timeout: 5000 }).toBe("ended tunnel.lost");
  expect(calls).toEqual(["open spr_1", "reset tunnel.lost"]);
});
