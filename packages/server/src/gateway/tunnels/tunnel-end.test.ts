import { EventEmitter } from "node:events";
import { RecycledMemory } from "@jitdb/shared/tunnel/recycled-memory";
import { TunnelSession } from "@jitdb/shared/tunnel/session";
import { expect, test } from "vitest";
import type { FastWebSocket } from "../../http/websockets/fast-websocket.ts";
import { Turn } from "../turn.ts";
import type { StreamEnd } from "./stream-end.ts";
import { TunnelEnd } from "./tunnel-end.ts";

const maxBufferedBytes = 1000;

/** Holds what is sent until the test says that the network took it. */
class SlowWebSocket extends EventEmitter {
  readonly OPEN = 1;
  readonly readyState = 1;
  readonly memory = new RecycledMemory();
  readonly sent: { readonly bytes: Buffer; readonly onSent: () => void }[] = [];
  bufferedAmount = 0;

  sendChunks(chunks: readonly Uint8Array[], onSent: () => void): void {
    const bytes = Buffer.concat(chunks);
    this.bufferedAmount += bytes.length;
    this.sent.push({ bytes, onSent });
  }
}

const turnIsOver = () => new Promise((resolve) => setImmediate(resolve));

async function openStream() {
  const ws = new SlowWebSocket();
  const opened: StreamEnd[] = [];
  const ports = {
    turn: new Turn({ flush: () => undefined, settle: () => undefined }),
    memory: new RecycledMemory(),
    random: { bytes: (count: number) => new Uint8Array(count) },
  };
  const options = { pingIntervalMs: 60_000, silenceMs: 60_000, maxBufferedBytes, maxStreams: 4 };
  const nothing = () => undefined;
  const end = new TunnelEnd(ws as unknown as FastWebSocket, undefined, ports, options, {
    hello: nothing,
    handOver: () => false,
    open: (stream) => opened.push(stream),
    auth: nothing,
    parked: nothing,
    resumed: nothing,
    confirmed: nothing,
    closed: nothing,
  });
  const agent = new TunnelSession({ role: "agent", software: "test" });
  const pass = async () => {
    ws.emit("message", Buffer.concat(agent.takeOutput() ?? []), true);
    await turnIsOver();
    for (const { bytes, onSent } of ws.sent.splice(0)) {
      ws.bufferedAmount -= bytes.length;
      agent.receive(bytes, 0);
      onSent();
    }
  };
  await pass();
  const startup = new Uint8Array(8);
  agent.open({ engine: "postgres", kind: "session", grant: "grt_test", startup });
  await pass();
  const [stream] = opened;
  if (stream === undefined) {
    throw new Error("No stream was opened.");
  }
  let resumed = 0;
  stream.opened("ses_test", {
    start: nothing,
    receive: nothing,
    resume: () => {
      resumed += 1;
    },
    clientClosed: nothing,
    abandon: nothing,
    isAtRest: true,
  });
  await turnIsOver();
  ws.sent.length = 0;
  ws.bufferedAmount = 0;
  return { ws, end, stream, resumed: () => resumed };
}

test("a stream that waits for the WebSocket goes on, whoever finds out first that there is room again", async () => {
  const { ws, end, stream, resumed } = await openStream();
  stream.write(new Uint8Array(maxBufferedBytes));
  await turnIsOver();
  expect(stream.write(new Uint8Array(10))).toBe(false);
  // Room for more, but not yet half of it; something else of the tunnel is sent before the network says so.
  ws.bufferedAmount = maxBufferedBytes - 100;
  end.schedule();
  await turnIsOver();
  expect(resumed()).toBe(1);
  for (const { onSent } of ws.sent.splice(0)) {
    onSent();
  }
  expect(resumed()).toBe(1);
});

test("a stream that waits for the WebSocket goes on when half of what waited is written", async () => {
  const { ws, stream, resumed } = await openStream();
  stream.write(new Uint8Array(maxBufferedBytes));
  await turnIsOver();
  expect(stream.write(new Uint8Array(10))).toBe(false);
  const [message] = ws.sent;
  message?.onSent();
  expect(resumed()).toBe(0);
  ws.bufferedAmount = maxBufferedBytes / 2;
  message?.onSent();
  expect(resumed()).toBe(1);
});
