// A peer whose every byte a test writes itself, and the end under test that it speaks to.

import { EventEmitter, once } from "node:events";
import type { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";
import type { TunnelEvent } from "@jitdb/shared/tunnel/events";
import { decodeFrames, encodeFrame, type Frame } from "@jitdb/shared/tunnel/frame";
import {
  decodeMap,
  encodeMap,
  type HelloMap,
  type OpenMap,
  type ResetMap,
} from "@jitdb/shared/tunnel/maps";
import type { Carrier, Connection, Pipe } from "./carriers.ts";
import { Endpoint } from "./endpoint.ts";

export const openMap: OpenMap = {
  engine: "postgres",
  kind: "session",
  grant: "grt_1",
  startup: Uint8Array.of(0),
};

export class RawPeer {
  /** The end under test. */
  readonly endpoint: Endpoint;
  readonly events: TunnelEvent[] = [];
  /** What came on this connection, and on the one before. */
  frames: Frame[] = [];
  oldFrames: Frame[] = [];
  #pipe: Pipe;
  readonly #came = new EventEmitter();

  private constructor(endpoint: Endpoint, pipe: Pipe) {
    this.endpoint = endpoint;
    this.#pipe = pipe;
    endpoint.onEvent = (event) => this.#hear(event);
    this.#listen(pipe);
  }

  /** Speaks to a gateway or an agent; both HELLOs are exchanged, ours with `more`. */
  static async meet(
    carrier: Carrier,
    role: "agent" | "gateway",
    more: Partial<HelloMap> = {},
  ): Promise<RawPeer> {
    const connection = await connect(carrier);
    const endpoint = new Endpoint({ role, software: "tested" });
    const peer = new RawPeer(endpoint, role === "gateway" ? connection.agent : connection.gateway);
    endpoint.bind(role === "gateway" ? connection.gateway : connection.agent);
    peer.#hello(more);
    await peer.frame("HELLO");
    await peer.settle();
    return peer;
  }

  /** As an agent, goes on with another connection, and announces so many streams. */
  async resume(carrier: Carrier, streams: number, { keepsOld = false } = {}): Promise<void> {
    const connection = await connect(carrier);
    const old = this.#pipe;
    this.oldFrames = this.frames;
    this.frames = [];
    this.#pipe = connection.agent;
    this.#listen(connection.agent);
    const ticket = new Secret("ticket");
    this.endpoint.attach(connection.gateway, { ticket: { value: ticket, parkedMs: 1000 } });
    this.#hello({ resume: { ticket, streams } });
    if (!keepsOld) {
      old.cut();
    }
    await this.frame("HELLO");
  }

  /** Sends frames in one message. */
  send(...frames: readonly Frame[]): void {
    this.sendBytes(Buffer.concat(frames.map(encodeFrame)));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#pipe.send(bytes);
  }

  open(id: number): void {
    this.send({ type: "OPEN", stream: id, payload: encodeMap("OPEN", openMap) });
  }

  /** The first frame of a type, now or as soon as it comes. */
  async frame<T extends Frame["type"]>(type: T): Promise<Extract<Frame, { type: T }>> {
    for (;;) {
      const found = this.frames.find((frame) => frame.type === type);
      if (found !== undefined) {
        return found as Extract<Frame, { type: T }>;
      }
      await once(this.#came, "frames");
    }
  }

  /** Waits until the end under test has taken everything so far: it has answered a PING, or said goodbye. */
  async settle(): Promise<void> {
    const count = this.frames.length;
    this.send({ type: "PING", stream: 0, answer: false, value: count });
    for (;;) {
      const isDone = this.frames.some(
        (frame) =>
          frame.type === "GOAWAY" ||
          (frame.type === "PING" && frame.answer && frame.value === count),
      );
      if (isDone) {
        return;
      }
      await once(this.#came, "frames");
    }
  }

  /** The code with which the tunnel ended, said to the peer as it was found; undefined if it goes on. */
  async end(): Promise<string | undefined> {
    await this.settle();
    const failure: JitdbError | undefined = this.endpoint.failure;
    const goaway = this.frames.find((frame) => frame.type === "GOAWAY");
    const said: ResetMap | undefined =
      goaway && "payload" in goaway ? decodeMap("GOAWAY", goaway.payload) : undefined;
    if (said?.code !== failure?.code) {
      throw new Error(`Found ${failure?.code}, and said ${said?.code}.`);
    }
    return said?.code;
  }

  close(): void {
    this.#pipe.cut();
  }

  #hello(more: Partial<HelloMap>): void {
    const hello = { version: 1, software: "raw", windowBytes: 65_536, ...more };
    this.send({ type: "HELLO", stream: 0, payload: encodeMap("HELLO", hello) });
  }

  #listen(pipe: Pipe): void {
    const frames = this.frames;
    pipe.listen({
      message: (message) => {
        frames.push(...decodeFrames(message));
        this.#came.emit("frames");
      },
      closed: () => undefined,
    });
  }

  #hear(event: TunnelEvent): void {
    this.events.push(event);
    if (event.type === "open") {
      this.endpoint.do((session) => session.opened(event.stream, { session: "ses_1" }));
    }
  }
}

async function connect(carrier: Carrier): Promise<Connection> {
  const connection = await carrier.connect();
  if (connection === undefined) {
    throw new Error("There is no connection.");
  }
  return connection;
}
