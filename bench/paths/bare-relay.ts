// The least that two Node programs can do: bytes of many connections through one TLS connection, each with eight bytes in front.
// No WebSocket, no flow control, no resumption, no login, no records. Started by bare.ts as `bare-relay.ts <settings as JSON>`.

import { once } from "node:events";
import { createServer, connect as dial, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { createServer as createTlsServer, connect as dialTls } from "node:tls";

/** What it is started with; ports are all on `host`. */
export interface BareSettings {
  readonly role: "near" | "far";
  readonly host: string;
  /** Where it listens. */
  readonly port: number;
  /** Of the other end; of the database for the near one. */
  readonly target: number;
  /** PEM, of the near end. */
  readonly cert?: string;
  readonly key?: string;
}

/** Length and number of the connection; nothing behind them ends it. */
const headerBytes = 8;

/** Sends what comes in a turn of the loop with one write, as jitdb does. */
function frames(carrier: Socket, take: (id: number, bytes: Buffer) => void) {
  carrier.setNoDelay(true);
  let waiting: Buffer[] = [];
  let rest = Buffer.alloc(0);
  carrier.on("data", (chunk) => {
    let bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    while (bytes.length >= headerBytes && bytes.length >= headerBytes + bytes.readUInt32BE(0)) {
      const end = headerBytes + bytes.readUInt32BE(0);
      take(bytes.readUInt32BE(4), bytes.subarray(headerBytes, end));
      bytes = bytes.subarray(end);
    }
    rest = bytes;
  });
  return (id: number, bytes: Uint8Array) => {
    const frame = Buffer.allocUnsafe(headerBytes + bytes.length);
    frame.writeUInt32BE(bytes.length, 0);
    frame.writeUInt32BE(id, 4);
    frame.set(bytes, headerBytes);
    if (waiting.push(frame) === 1) {
      setImmediate(() => {
        carrier.write(waiting.length === 1 ? frame : Buffer.concat(waiting));
        waiting = [];
      });
    }
  };
}

/** The connections of one carrier. `dialFor`: makes one that the other end speaks of first. */
function relay(carrier: Socket, dialFor?: () => Socket) {
  const sockets = new Map<number, Socket>();
  const add = (id: number, socket: Socket) => {
    socket.setNoDelay(true);
    sockets.set(id, socket);
    socket.on("data", (bytes) => send(id, bytes));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (sockets.delete(id)) {
        send(id, Buffer.alloc(0));
      }
    });
    return socket;
  };
  const send = frames(carrier, (id, bytes) => {
    if (bytes.length === 0) {
      const socket = sockets.get(id);
      sockets.delete(id);
      socket?.end();
      return;
    }
    const socket = sockets.get(id) ?? (dialFor === undefined ? undefined : add(id, dialFor()));
    socket?.write(bytes);
  });
  return add;
}

/** The other end is started at the same time. */
async function carrierTo(target: number): Promise<Socket> {
  for (;;) {
    const carrier = dialTls({ host, port: target, rejectUnauthorized: false });
    const isThere = await once(carrier, "secureConnect").then(
      () => true,
      () => false,
    );
    if (isThere) {
      return carrier;
    }
    await delay(50);
  }
}

const settings: BareSettings = JSON.parse(process.argv[2] ?? "");
const { role, host, port, target, cert, key } = settings;
if (role === "near") {
  createTlsServer({ cert, key }, (carrier) => {
    carrier.on("error", () => undefined);
    relay(carrier, () => dial({ host, port: target }));
  }).listen(port, host);
} else {
  const add = relay(await carrierTo(target));
  let last = 0;
  createServer((socket) => {
    last += 1;
    add(last, socket);
  }).listen(port, "127.0.0.1");
}
