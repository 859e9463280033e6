// The bare end of a tunnel: a WebSocket with a valid login that sends whatever it is told, and writes down what it reads.

import { once } from "node:events";
import { WebSocket } from "ws";
import type { TestDevice } from "../identity/device.ts";

/** What is left when a peer's tunnel has ended. */
export interface PeerOutcome {
  readonly reads: readonly string[];
  readonly closes: number;
}

export class TunnelPeer {
  readonly #socket: WebSocket;
  readonly #reads: string[] = [];
  readonly #ended: Promise<number>;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    this.#ended = once(socket, "close").then(([code]) => Number(code));
    socket.on("message", (message) => this.#read(message as Buffer));
    // What the server does to the connection shows in its close.
    socket.on("error", () => undefined);
  }

  static async connect(url: string, device: TestDevice, accessToken: string): Promise<TunnelPeer> {
    const path = `${url}/api/v1/tunnel`;
    const socket = new WebSocket(path.replace(/^http/, "ws"), "jitdb.tunnel.v1", {
      perMessageDeflate: false,
      headers: {
        authorization: `DPoP ${accessToken}`,
        dpop: device.proof("GET", path, accessToken),
      },
    });
    const peer = new TunnelPeer(socket);
    await once(socket, "open");
    return peer;
  }

  send(message: string | Buffer): void {
    this.#socket.send(message);
  }

  /** Resolves with the next GOAWAY or RESET. */
  async answer(): Promise<string> {
    while (this.#reads.length === 0) {
      await once(this.#socket, "message");
    }
    return this.#reads[0] ?? "";
  }

  /** Resolves when the server has ended the tunnel. */
  async outcome(): Promise<PeerOutcome> {
    const closes = await this.#ended;
    return { reads: this.#reads, closes };
  }

  cut(): void {
    this.#socket.terminate();
  }

  #read(message: Buffer): void {
    for (let at = 0; at < message.length; ) {
      const payload = message.subarray(at + 8, at + 8 + message.readUIntBE(at + 1, 3));
      const name = { 22: "RESET", 33: "GOAWAY" }[message.readUInt8(at)];
      if (name !== undefined) {
        const map = JSON.parse(payload.toString()) as { code: string; message: string };
        this.#reads.push(`${name} ${map.code}: ${map.message}`);
      }
      at += 8 + payload.length;
    }
  }
}

/** A frame as docs/tunnel-protocol.md §3 lays it out. */
export function frame(type: number, stream: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(type);
  header.writeUIntBE(payload.length, 1, 3);
  header.writeUInt32BE(stream, 4);
  return Buffer.concat([header, payload]);
}

export function mapFrame(type: number, stream: number, map: object): Buffer {
  return frame(type, stream, Buffer.from(JSON.stringify(map)));
}

/** Asks for a session under a grant. */
export function openFrame(stream: number, grant: string): Buffer {
  // An empty start-up packet: nobody reads as far as that.
  return mapFrame(0x10, stream, { engine: "postgres", kind: "session", grant, startup: "" });
}

/** What every agent says first. */
export function hello(): Buffer {
  return mapFrame(0x01, 0, { version: 1, software: "peer", windowBytes: 65_536 });
}
