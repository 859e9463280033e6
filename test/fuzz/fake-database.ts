// A database server of the fuzzing's own, on a Unix socket. Each connection is handed to whoever runs a case; an honest
// login by SCRAM is at hand.

import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  encodeAuthenticationOk,
  encodeAuthenticationSasl,
  encodeAuthenticationSaslContinue,
  encodeAuthenticationSaslFinal,
  encodeBackendKeyData,
  encodeParameterStatus,
  encodeReadyForQuery,
} from "@jitdb/shared/postgres/encoder";
import { parseSaslInitialResponse } from "@jitdb/shared/postgres/frontend";
import { ScramServer } from "@jitdb/shared/postgres/scram/server";
import { deriveKeys, toVerifier } from "@jitdb/shared/postgres/scram/verifier";
import { Secret } from "@jitdb/shared/secret";
import type { DatabaseConfig } from "../../packages/server/src/config/config.ts";
import { scramCrypto } from "../../packages/server/src/engines/postgres/scram-crypto.ts";

/** Of the gateway's user; must never be on the wire. */
export const password = "canary-of-the-user";

const salt = Buffer.from("0123456789abcdef");
const iterations = 4096;
const verifier = toVerifier(
  scramCrypto,
  await deriveKeys(scramCrypto, password, salt, iterations),
  salt,
  iterations,
);

const cancelCode = 80_877_102;

/** A message of an honest login, made from the client's last message where it answers one. */
export type LoginMessage = (client: Uint8Array) => Uint8Array;

/** An honest login, message by message. `waits`: the client speaks before it. */
export function honestLogin(): { readonly waits: boolean; readonly make: LoginMessage }[] {
  const scram = new ScramServer(scramCrypto, verifier);
  const body = (message: Uint8Array) => message.subarray(5);
  const setting = (name: string, value: string) => ({
    waits: false,
    make: () => encodeParameterStatus({ name, value }),
  });
  return [
    { waits: true, make: () => encodeAuthenticationSasl(["SCRAM-SHA-256"]) },
    {
      waits: true,
      make: (client) =>
        encodeAuthenticationSaslContinue(
          scram.first(parseSaslInitialResponse(body(client)).data ?? new Uint8Array(0)),
        ),
    },
    { waits: true, make: (client) => encodeAuthenticationSaslFinal(scram.final(body(client))) },
    { waits: false, make: () => encodeAuthenticationOk() },
    setting("client_encoding", "UTF8"),
    setting("server_encoding", "UTF8"),
    setting("standard_conforming_strings", "on"),
    {
      waits: false,
      make: () => encodeBackendKeyData({ processId: 7, secret: Uint8Array.of(1, 2, 3, 4) }),
    },
    { waits: false, make: () => encodeReadyForQuery("idle") },
  ];
}

export class FakeDatabase {
  /** Takes the next connections. */
  onConnection: (socket: Socket) => void = (socket) => socket.destroy();
  readonly config: DatabaseConfig;
  readonly #server: Server;
  readonly #folder: string;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, folder: string) {
    this.#server = server;
    this.#folder = folder;
    this.config = {
      name: "fuzzed",
      engine: "postgres",
      host: folder,
      port: 5432,
      database: "fuzzed",
      tls: { mode: "disable" },
      allowedLogins: [],
      admin: { user: "admin", password: new Secret("unused") },
      labels: {},
      profiles: new Map(),
    };
    server.on("connection", (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      // Whoever breaks off is part of every case.
      socket.on("error", () => undefined);
      socket.once("readable", () => this.#serve(socket));
    });
  }

  /** Cancel requests may come late, from a session of an earlier case: they are answered by the close alone. */
  #serve(socket: Socket): void {
    const first: Buffer | null = socket.read();
    if (first === null || (first.length >= 8 && first.readUInt32BE(4) === cancelCode)) {
      socket.end().resume();
      return;
    }
    socket.unshift(first);
    this.onConnection(socket);
  }

  static async start(): Promise<FakeDatabase> {
    const folder = mkdtempSync(join(tmpdir(), "jitdb-fuzz-"));
    const server = createServer({ allowHalfOpen: true }).listen(join(folder, ".s.PGSQL.5432"));
    await once(server, "listening");
    return new FakeDatabase(server, folder);
  }

  /** Ends what a case has left open. */
  disconnect(): void {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  async close(): Promise<void> {
    this.disconnect();
    this.#server.close();
    await once(this.#server, "close");
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** What a client sends, as whole chunks: `next` waits for more, up to a deadline, and is empty behind it or the end. */
export class Chunks {
  readonly #socket: Socket;
  #waiting: Uint8Array[] = [];
  #resolve: (() => void) | undefined;
  #isOver = false;
  readonly all: Uint8Array[] = [];

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Uint8Array) => {
      this.all.push(chunk);
      this.#waiting.push(chunk);
      this.#resolve?.();
    });
    for (const event of ["end", "close"]) {
      socket.on(event, () => {
        this.#isOver = true;
        this.#resolve?.();
      });
    }
  }

  async next(deadlineMs: number): Promise<Uint8Array> {
    if (this.#waiting.length === 0 && !this.#isOver && !this.#socket.destroyed) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadlineMs);
        this.#resolve = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    return Buffer.concat(this.#waiting.splice(0));
  }
}
