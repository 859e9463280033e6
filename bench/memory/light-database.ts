// A database whose sessions cost next to nothing, so that thousands of them fit on one machine. What the gateway's admin role does goes to a real
// PostgreSQL; ephemeral users log in here, with the password that they have there, and every question has an empty answer.

import { once } from "node:events";
import {
  type AddressInfo,
  createServer,
  connect as dial,
  type Server,
  type Socket,
} from "node:net";
import type { BackendKeyData } from "@jitdb/shared/postgres/backend";
import { MessageCollector } from "@jitdb/shared/postgres/decoder";
import {
  encodeAuthenticationOk,
  encodeBackendKeyData,
  encodeParameterStatus,
  encodeReadyForQuery,
} from "@jitdb/shared/postgres/encoder";
import { backendMessages, frontendMessages } from "@jitdb/shared/postgres/messages";
import { decodeText } from "@jitdb/shared/postgres/reader";
import { parseVerifier, type ScramVerifier } from "@jitdb/shared/postgres/scram/verifier";
import { encodeStartupMessage, startupParameter } from "@jitdb/shared/postgres/startup";
import { cstring, encodeMessage } from "@jitdb/shared/postgres/writer";
import { checkPassword, readOpening } from "../../packages/cli/src/agent/postgres/start-up.ts";
import type { Installation } from "../../test/support/installation.ts";

/** What a server tells every client. */
const settings = {
  client_encoding: "UTF8",
  DateStyle: "ISO, MDY",
  integer_datetimes: "on",
  server_encoding: "UTF8",
  server_version: "15.0",
  standard_conforming_strings: "on",
  TimeZone: "UTC",
};

const answer = Buffer.concat([
  encodeMessage(backendMessages.CommandComplete, [cstring("SELECT 0")]),
  encodeReadyForQuery("idle"),
]);

const maxMessageBytes = 65_536;

export class LightDatabase {
  readonly #server: Server;
  readonly #installation: Installation;
  readonly #sockets = new Set<Socket>();
  readonly #verifiers = new Map<string, Promise<ScramVerifier>>();
  #sessions = 0;

  private constructor(server: Server, installation: Installation) {
    this.#server = server;
    this.#installation = installation;
    server.on("connection", (socket) => {
      this.#keep(socket);
      this.#serve(socket).catch(() => socket.destroy());
    });
  }

  static async start(installation: Installation): Promise<LightDatabase> {
    const server = createServer({ noDelay: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    return new LightDatabase(server, installation);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    await closed;
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("close", () => this.#sockets.delete(socket));
  }

  async #serve(socket: Socket): Promise<void> {
    const { packet, rest } = await readOpening(socket);
    if (packet.kind === "cancel") {
      socket.destroy();
      return;
    }
    const user = decodeText(startupParameter(packet, "user") ?? new Uint8Array(0));
    if (!user.startsWith("jit_")) {
      const { port } = this.#installation.postgres;
      const real = dial({ host: "127.0.0.1", port, noDelay: true });
      this.#keep(real);
      real.write(encodeStartupMessage(packet));
      real.write(rest);
      socket.pipe(real).pipe(socket);
      return;
    }
    const verifier = this.#verifiers.get(user) ?? this.#verifierOf(user);
    this.#verifiers.set(user, verifier);
    const behind = await checkPassword(socket, await verifier, rest);
    this.#sessions += 1;
    answerAll(socket, behind, { processId: this.#sessions, secret: Uint8Array.of(1, 2, 3, 4) });
  }

  async #verifierOf(user: string): Promise<ScramVerifier> {
    const [role] = await this.#installation.asSuperuser<{ rolpassword: string }>(
      "SELECT rolpassword FROM pg_authid WHERE rolname = $1",
      [user],
    );
    return parseVerifier(role?.rolpassword ?? "");
  }
}

/** A session behind its login. */
function answerAll(socket: Socket, behind: Uint8Array, key: BackendKeyData): void {
  const statuses = Object.entries(settings).map(([name, value]) =>
    encodeParameterStatus({ name, value }),
  );
  const greeting = [encodeAuthenticationOk(), ...statuses, encodeBackendKeyData(key)];
  socket.write(Buffer.concat([...greeting, encodeReadyForQuery("idle")]));
  const messages = new MessageCollector("frontend", maxMessageBytes);
  const take = (chunk: Uint8Array) => {
    messages.push(chunk);
    for (let message = messages.next(); message; message = messages.next()) {
      if (message.type === frontendMessages.Query) {
        socket.write(answer);
      } else if (message.type === frontendMessages.Terminate) {
        socket.end();
      }
    }
  };
  take(behind);
  socket.on("data", take);
}
