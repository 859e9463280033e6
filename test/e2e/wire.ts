// PostgreSQL's messages over a door's Unix socket, for what client libraries hide: COPY, and reading as slowly as one likes.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { encodeQuery } from "@jitdb/shared/postgres/encoder";
import { backendMessages, frontendMessages } from "@jitdb/shared/postgres/messages";
import { startUp, WireClient } from "../gateway/wire-client.ts";
import type { Door } from "./company.ts";

/** A socket that is read only when somebody asks. */
class SocketStream {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  readonly #chunks: AsyncIterator<Buffer>;

  constructor(socket: Socket) {
    this.socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]();
    this.closed = new Promise((resolve) => socket.once("close", () => resolve()));
  }

  /** The next bytes; undefined at the end, however it came. */
  async read(): Promise<Uint8Array | undefined> {
    try {
      const { value, done } = await this.#chunks.next();
      return done === true ? undefined : value;
    } catch {
      // Reset by the other side: an end like any other.
      return undefined;
    }
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (!this.socket.write(bytes)) {
      await Promise.race([once(this.socket, "drain"), this.closed]);
    }
  }
}

export type Wire = WireClient<SocketStream>;

/** A session that is ready for its first query. */
export async function openWire({ ready: { socket, port, user } }: Door): Promise<Wire> {
  const connection = connect(join(socket, `.s.PGSQL.${port}`));
  const wire: Wire = new WireClient(new SocketStream(connection));
  await wire.send(startUp([["user", user]]));
  wire.greeting.push(...(await wire.until(backendMessages.ReadyForQuery)));
  return wire;
}

/** Sends `COPY … FROM STDIN` with its data; resolves with the command's tag. */
export async function copyIn(wire: Wire, sql: string, pieces: Iterable<Buffer>): Promise<string> {
  await wire.send(encodeQuery(sql));
  await wire.until(backendMessages.CopyInResponse);
  for (const piece of pieces) {
    await wire.send(copyMessage(frontendMessages.CopyData, piece));
  }
  await wire.send(copyMessage(frontendMessages.CopyDone));
  const { tags, error } = await wire.result();
  if (error !== undefined) {
    throw new Error(`${error.code}: ${error.message}`);
  }
  return tags[0] ?? "";
}

/** Runs `COPY … TO STDOUT`; gives each piece of data, and is over at ReadyForQuery. */
export async function* copyOut(wire: Wire, sql: string): AsyncGenerator<Uint8Array> {
  await wire.send(encodeQuery(sql));
  for (let message = await wire.next(); message; message = await wire.next()) {
    if (message.type === backendMessages.CopyData) {
      yield message.body;
    } else if (message.type === backendMessages.ReadyForQuery) {
      return;
    }
  }
}

/** CopyData and CopyDone, as the client sends them. */
export function copyMessage(type: number, body: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt8(type);
  header.writeUInt32BE(body.length + 4, 1);
  return Buffer.concat([header, body]);
}

/**
 * Runs a query and reads its answer as it comes, without looking into it.
 * @returns bytes up to and with ReadyForQuery, or to the end
 */
export async function drain(wire: Wire, sql: string): Promise<number> {
  await wire.send(encodeQuery(sql));
  let bytes = 0;
  let last: Uint8Array = new Uint8Array();
  for (let chunk = await wire.stream.read(); chunk; chunk = await wire.stream.read()) {
    bytes += chunk.length;
    last = Buffer.concat([last.subarray(-6), chunk.subarray(-6)]).subarray(-6);
    if (Buffer.from(last).equals(readyForQuery)) {
      break;
    }
  }
  return bytes;
}

const readyForQuery = Buffer.from("Z\0\0\0\x05I", "latin1");
