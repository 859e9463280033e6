// A PostgreSQL session of raw messages over TCP, from the first byte of the server to the last. Keeps all that came.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type BackendKeyData, parseBackendKeyData } from "@jitdb/shared/postgres/backend";
import { type Message, MessageCollector } from "@jitdb/shared/postgres/decoder";
import {
  encodeSaslInitialResponse,
  encodeSaslResponse,
  encodeTerminate,
} from "@jitdb/shared/postgres/encoder";
import { backendMessages, frontendMessages } from "@jitdb/shared/postgres/messages";
import { ScramClient } from "@jitdb/shared/postgres/scram/client";
import { deriveKeys } from "@jitdb/shared/postgres/scram/verifier";
import { encodeCancelRequest, encodeStartupMessage } from "@jitdb/shared/postgres/startup";
import { encodeText } from "@jitdb/shared/postgres/writer";
import { scramCrypto } from "../../packages/server/src/engines/postgres/scram-crypto.ts";

/** Where a side of the bench is, and how one logs in there. */
export interface Address {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** The longest that a server may take for what a script waits for. */
const deadlineMs = 20_000;

const { Authentication, ReadyForQuery } = backendMessages;
/** What is answered by one ReadyForQuery each. */
const asking: ReadonlySet<number> = new Set([
  frontendMessages.Query,
  frontendMessages.Sync,
  frontendMessages.FunctionCall,
]);

export class RawSession {
  /** All messages of the server, in order. */
  readonly received: Message[] = [];
  key: BackendKeyData | undefined;
  /** Whether the connection is over, by either side. */
  isClosed = false;
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  readonly #messages = new MessageCollector("backend", 64 * 1024 * 1024);

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]();
  }

  /** Connects, logs in by SCRAM-SHA-256 and reads to the first ReadyForQuery, or to the refusal. */
  static async open(
    address: Address,
    parameters: Readonly<Record<string, string>>,
    version: number,
  ): Promise<RawSession> {
    const session = new RawSession(connect(address.port, address.host));
    const { user, database } = address;
    const all = Object.entries({ user, database, ...parameters });
    await session.send(
      encodeStartupMessage({
        version,
        parameters: all.map(([name, value]) => ({ name, value: encodeText(value) })),
      }),
    );
    await session.#logIn(address.password);
    await session.until(ReadyForQuery);
    return session;
  }

  async send(...messages: Uint8Array[]): Promise<void> {
    if (!this.isClosed && !this.#socket.write(Buffer.concat(messages))) {
      await Promise.race([once(this.#socket, "drain"), once(this.#socket, "close")]);
    }
  }

  /** Reads to a message of this type, or to the end. */
  async until(type: number): Promise<void> {
    while (!this.isClosed && (await this.#next())?.type !== type) {
      // Kept in `received`.
    }
  }

  /** Sends messages, and reads as many ReadyForQuery as they ask for. */
  async ask(...messages: Uint8Array[]): Promise<void> {
    await this.send(...messages);
    for (const message of messages) {
      if (asking.has(message[0] ?? 0)) {
        await this.until(ReadyForQuery);
      }
    }
  }

  /** Says goodbye, and reads to the end. */
  async end(): Promise<void> {
    await this.send(encodeTerminate());
    await this.untilClosed();
  }

  /** Reads until the server closes. */
  async untilClosed(): Promise<void> {
    await this.until(-1);
    this.#socket.destroy();
  }

  /** Leaves without a word. */
  destroy(): void {
    this.isClosed = true;
    this.#socket.destroy();
  }

  async #logIn(password: string): Promise<void> {
    const [mechanisms] = await this.#challenge();
    if (mechanisms === undefined) {
      return;
    }
    const scram = new ScramClient(scramCrypto, { mechanisms: ["SCRAM-SHA-256"] });
    const { mechanism } = scram;
    await this.send(encodeSaslInitialResponse({ mechanism, data: scram.first() }));
    const [challenge = new Uint8Array()] = await this.#challenge();
    const { salt, iterations } = scram.challenge(challenge);
    await this.send(
      encodeSaslResponse(scram.respond(await deriveKeys(scramCrypto, password, salt, iterations))),
    );
    const [proof = new Uint8Array()] = await this.#challenge();
    scram.verify(proof);
  }

  /** Data of the next authentication request; empty where the server refuses. */
  async #challenge(): Promise<[Uint8Array] | []> {
    const message = await this.#next();
    return message?.type === Authentication ? [message.body.subarray(4)] : [];
  }

  async #next(): Promise<Message | undefined> {
    for (;;) {
      const message = this.#messages.next();
      if (message !== undefined) {
        const kept = { type: message.type, body: message.body.slice() };
        this.received.push(kept);
        if (kept.type === backendMessages.BackendKeyData) {
          this.key = parseBackendKeyData(kept.body);
        }
        return kept;
      }
      const chunk = await this.#read();
      if (chunk === undefined) {
        this.isClosed = true;
        return undefined;
      }
      this.#messages.push(chunk);
    }
  }

  async #read(): Promise<Buffer | undefined> {
    const late = setTimeout(
      () => this.#socket.destroy(new Error(`The server said nothing within ${deadlineMs} ms.`)),
      deadlineMs,
    );
    try {
      const { value, done } = await this.#chunks.next();
      return done === true ? undefined : value;
    } catch (error) {
      // A reset is an end like any other: where the client's last bytes were not read, it takes the place of the FIN.
      if (error instanceof Error && "code" in error && error.code === "ECONNRESET") {
        return undefined;
      }
      throw error;
    } finally {
      clearTimeout(late);
    }
  }
}

/** Sends a cancel request; resolves when the server has closed, which it does behind the signal. */
export async function sendCancel({ host, port }: Address, key: BackendKeyData): Promise<void> {
  const socket = connect(port, host);
  socket.resume();
  socket.write(encodeCancelRequest(key));
  await once(socket, "close");
}
