// Stands between a jitdb-server and its PostgreSQL and sees each statement of the admin role twice: before the database gets
// it, and when the database has answered but the server does not know yet. Sessions of other roles pass as they are.
// Source: PostgreSQL manual, "Message Formats". Without TLS, which a test's configuration turns off.

import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** One statement of the admin role. */
export interface AdminStatement {
  readonly text: string;
  /** Statements of the same transaction, BEGIN first and this one last. */
  readonly transaction: readonly string[];
  /** `asked`: the database has not got it; `answered`: it is done, and the server has not heard of it. */
  readonly moment: "asked" | "answered";
}

/** Called at both moments of every statement. True: nothing more passes on this connection. */
export type AdminListener = (statement: AdminStatement) => boolean;

export class PostgresRelay {
  /** Replaced by whoever wants to see statements. */
  onAdmin: AdminListener = () => false;
  readonly #server: Server;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #admin: string;
  readonly #connections = new Set<RelayedConnection>();

  private constructor(target: { host: string; port: number }, admin: string) {
    this.#target = target;
    this.#admin = admin;
    // Half-open until both ends have said that they are done, as without a relay.
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  static async start(target: { host: string; port: number }, admin = "jitdb_admin") {
    const relay = new PostgresRelay(target, admin);
    relay.#server.listen(0, "127.0.0.1");
    await once(relay.#server, "listening");
    return relay;
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  }

  /** From now on no byte passes on connections of other roles than the admin, and nobody is told: half-open sockets. */
  silenceSessions(): void {
    for (const connection of this.#connections) {
      if (!connection.isAdmin) {
        connection.silence();
      }
    }
  }

  async close(): Promise<void> {
    for (const connection of this.#connections) {
      connection.destroy();
    }
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(socket: Socket): void {
    const upstream = connect({ ...this.#target, allowHalfOpen: true });
    const listener: AdminListener = (statement) => this.onAdmin(statement);
    const connection = new RelayedConnection(socket, upstream, this.#admin, listener);
    this.#connections.add(connection);
    socket.once("close", () => this.#connections.delete(connection));
  }
}

class RelayedConnection {
  isAdmin = false;
  readonly #client: Socket;
  readonly #database: Socket;
  readonly #admin: string;
  readonly #listener: AdminListener;
  readonly #fromClient = new Framer(true);
  readonly #fromDatabase = new Framer(false);
  #isSilent = false;
  /** Messages since the last Query or Sync, and the text among them. */
  #unit: Buffer[] = [];
  #text = "";
  #transaction: string[] = [];
  /** Statements that the database has not answered; the first messages of a connection count as one. */
  readonly #open: AdminStatement[] = [];
  #answer: Buffer[] = [];

  constructor(client: Socket, database: Socket, admin: string, listener: AdminListener) {
    this.#client = client;
    this.#database = database;
    this.#admin = admin;
    this.#listener = listener;
    client.on("data", (chunk) => this.#pass(chunk, this.#fromClient, (one) => this.#ask(one)));
    database.on("data", (chunk) =>
      this.#pass(chunk, this.#fromDatabase, (one) => this.#answered(one)),
    );
    for (const [here, there] of [
      [client, database],
      [database, client],
    ] as const) {
      here.on("end", () => this.#isSilent || there.end());
      here.on("error", () => this.#isSilent || there.destroy());
      here.on("close", () => this.#isSilent || there.destroy());
      here.on("drain", () => this.#isSilent || there.resume());
    }
  }

  silence(): void {
    this.#isSilent = true;
    this.#client.pause();
    this.#database.pause();
  }

  destroy(): void {
    this.#client.destroy();
    this.#database.destroy();
  }

  #pass(chunk: Buffer, framer: Framer, take: (message: Buffer) => void): void {
    if (this.#isSilent) {
      return;
    }
    if (framer.isFirst || this.isAdmin) {
      framer.push(chunk).forEach(take);
      return;
    }
    const [from, to] =
      framer === this.#fromClient ? [this.#client, this.#database] : [this.#database, this.#client];
    if (!to.write(Buffer.concat([framer.rest(), chunk]))) {
      from.pause();
    }
  }

  #ask(message: Buffer): void {
    if (this.#fromClient.count === 1) {
      // The start-up packet names its role in the clear.
      this.isAdmin = message.includes(`user\0${this.#admin}\0`);
      this.#database.write(
        Buffer.concat([message, this.isAdmin ? empty : this.#fromClient.rest()]),
      );
      return;
    }
    const type = String.fromCharCode(message[0] ?? 0);
    this.#unit.push(message);
    if (type === "Q") {
      this.#text = message.toString("utf8", 5, message.length - 1);
    } else if (type === "P") {
      const name = message.indexOf(0, 5);
      this.#text = message.toString("utf8", name + 1, message.indexOf(0, name + 1));
    }
    if (type === "Q" || type === "S") {
      this.#transaction = /^BEGIN\b/.test(this.#text) ? [] : this.#transaction;
      this.#transaction.push(this.#text);
      this.#forward({ text: this.#text, transaction: [...this.#transaction], moment: "asked" });
    } else if (type === "p" || type === "X") {
      this.#database.write(Buffer.concat(this.#unit.splice(0)));
    }
  }

  #forward(statement: AdminStatement): void {
    const unit = Buffer.concat(this.#unit.splice(0));
    if (this.#listener(statement)) {
      this.destroy();
      return;
    }
    this.#open.push({ ...statement, moment: "answered" });
    this.#database.write(unit);
  }

  #answered(message: Buffer): void {
    this.#answer.push(message);
    const isReady = message[0] === readyForQuery;
    const statement = isReady ? this.#open.shift() : undefined;
    if (statement !== undefined && this.#listener(statement)) {
      this.destroy();
      return;
    }
    // Inside a statement everything waits for its end; the login's messages go through one by one.
    if (isReady || this.#open.length === 0) {
      this.#client.write(Buffer.concat(this.#answer.splice(0)));
    }
  }
}

const readyForQuery = 0x5a;
const empty = Buffer.alloc(0);

/** Cuts a stream into messages. */
class Framer {
  count = 0;
  #buffer: Buffer = empty;
  /** The first packet of a client has no type byte. */
  readonly #hasPacket: boolean;

  constructor(hasPacket: boolean) {
    this.#hasPacket = hasPacket;
  }

  get isFirst(): boolean {
    return this.#hasPacket && this.count === 0;
  }

  push(chunk: Buffer): Buffer[] {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    const messages: Buffer[] = [];
    for (;;) {
      const header = this.isFirst ? 0 : 1;
      const length = this.#buffer.length < header + 4 ? Infinity : this.#buffer.readInt32BE(header);
      if (this.#buffer.length < header + length) {
        return messages;
      }
      messages.push(this.#buffer.subarray(0, header + length));
      this.#buffer = this.#buffer.subarray(header + length);
      this.count += 1;
    }
  }

  /** What is not yet a whole message; afterwards nothing is. */
  rest(): Buffer {
    const rest = this.#buffer;
    this.#buffer = empty;
    return rest;
  }
}
