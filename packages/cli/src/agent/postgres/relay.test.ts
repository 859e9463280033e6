import { Socket } from "node:net";
import { JitdbError } from "@jitdb/shared/errors";
import { encodeBackendKeyData, encodeReadyForQuery } from "@jitdb/shared/postgres/encoder";
import { encodeEnd, encodeRefusal } from "@jitdb/shared/postgres/native-error";
import { describe, expect, it } from "vitest";
import type { AgentStream } from "../stream.ts";
import { Relay } from "./relay.ts";

const lost = new JitdbError("tunnel.lost", "The connection to the server was lost.");
const ready = encodeReadyForQuery("idle");

/** A client's socket that keeps what is written to it, and a stream that notes its calls. */
function start() {
  const written: Uint8Array[] = [];
  const socket = new Socket();
  socket._write = (chunk: Uint8Array, _encoding, done) => {
    written.push(chunk);
    done();
  };
  socket._final = (done) => done();
  const calls: string[] = [];
  const stream: AgentStream = {
    write: (bytes) => {
      calls.push(`write ${Buffer.from(bytes).toString("latin1")}`);
      return true;
    },
    consumed: (bytes) => calls.push(`consumed ${bytes.byteLength}`),
    close: () => calls.push("close"),
    reset: ({ code }) => calls.push(`reset ${code}`),
  };
  const keys: number[] = [];
  const relay = new Relay(socket, {
    early: Buffer.from("early"),
    onKey: ({ processId }) => keys.push(processId),
    onClose: () => undefined,
  });
  relay.bind(stream);
  return { relay, socket, calls, keys, text: () => Buffer.concat(written) };
}

describe("Relay", () => {
  it("forwards what the client sent early once the gateway let it in, and leaves the greeting to that", () => {
    const { relay, calls, text } = start();
    relay.opened();

    expect(text()).toEqual(Buffer.alloc(0));
    expect(calls).toEqual(["write early"]);
  });

  it("forwards the exact bytes however they are split, and finds the cancel key in them", () => {
    const bytes = Buffer.concat([
      encodeBackendKeyData({ processId: 4711, secret: Uint8Array.of(1, 2, 3, 4) }),
      ready,
    ]);
    for (let split = 1; split < bytes.length; split += 1) {
      const { relay, keys, text } = start();
      relay.data(bytes.subarray(0, split));
      relay.data(bytes.subarray(split));

      expect(text()).toEqual(bytes);
      expect(keys).toEqual([4711]);
    }
  });

  it("tells a client an error behind a whole message", () => {
    const { relay, socket, calls, text } = start();
    relay.opened();
    relay.data(ready);
    relay.ended(lost);

    expect(text()).toEqual(Buffer.concat([ready, encodeEnd(lost)]));
    expect(socket.writableEnded).toBe(true);
    expect(calls).toContain("reset tunnel.lost");
    socket.destroy();
  });

  it("refuses a client with the error's own SQLSTATE before the gateway let it in", () => {
    const full = new JitdbError("limit.reached", "This grant has 100 sessions already.");
    const { relay, socket, text } = start();
    relay.ended(full);

    expect(text()).toEqual(Buffer.from(encodeRefusal(full)));
    socket.destroy();
  });

  it.each([1, 4, ready.length - 1])(
    "cuts a client without a word %i bytes into a message",
    (split) => {
      const { relay, socket, text } = start();
      relay.data(ready.subarray(0, split));
      relay.ended(lost);

      expect(text()).toEqual(Buffer.from(ready.subarray(0, split)));
      expect(socket.destroyed).toBe(true);
    },
  );

  it("cuts a client and resets the stream when the gateway's bytes are no PostgreSQL", () => {
    const { relay, socket, calls, text } = start();
    relay.data(Buffer.from("?proxy error"));

    expect(text()).toEqual(Buffer.alloc(0));
    expect(socket.destroyed).toBe(true);
    expect(calls).toEqual(["reset postgres.protocol"]);
  });

  it("resets a stream that is let in after its client has left", () => {
    const { relay, calls } = start();
    relay.end(lost);
    calls.length = 0;
    relay.bind({
      write: () => true,
      consumed: () => undefined,
      close: () => undefined,
      reset: ({ code }) => calls.push(`late reset ${code}`),
    });

    expect(calls).toEqual(["late reset local.interrupted"]);
  });
});
