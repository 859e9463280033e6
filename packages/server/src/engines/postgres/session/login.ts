// Logs in to a PostgreSQL server: start-up, SCRAM, and what comes before the first ReadyForQuery.
// Source: PostgreSQL manual, "Start-up" and "SASL Authentication".

import { createHash } from "node:crypto";
import type { Socket } from "node:net";
import { JitdbError } from "@jitdb/shared/errors";
import {
  type Authentication,
  type BackendKeyData,
  type NegotiateProtocolVersion,
  parseAuthentication,
  parseBackendKeyData,
  parseErrorResponse,
  parseNegotiateProtocolVersion,
  parseParameterStatus,
  parseReadyForQuery,
} from "@jitdb/shared/postgres/backend";
import { type Message, MessageCollector } from "@jitdb/shared/postgres/decoder";
import {
  encodePasswordMessage,
  encodeSaslInitialResponse,
  encodeSaslResponse,
} from "@jitdb/shared/postgres/encoder";
import { backendMessages } from "@jitdb/shared/postgres/messages";
import { ScramClient } from "@jitdb/shared/postgres/scram/client";
import {
  encodeStartupMessage,
  protocolVersions,
  type StartupParameter,
} from "@jitdb/shared/postgres/startup";
import { encodeMessage, encodeText } from "@jitdb/shared/postgres/writer";
import type { Secret } from "@jitdb/shared/secret";
import type { DatabaseConfig, LoginMethod } from "../../../config/config.ts";
import { scramCrypto } from "../scram-crypto.ts";
import { type Connection, connectToServer, unreachable } from "./connection.ts";
import { loginRefused } from "./native-errors.ts";
import type { ScramKeyCache } from "./scram-keys.ts";

/** Bounds of what a server may make us keep before it is ready. */
const limits = { maxMessageLength: 65_536, maxMessages: 1000 } as const;

export interface Login {
  readonly database: Pick<
    DatabaseConfig,
    "name" | "host" | "port" | "database" | "tls" | "allowedLogins"
  >;
  readonly user: { readonly name: string; readonly password: Secret };
  /** The protocol's version to ask for, 3.0 to 3.2. */
  readonly version: number;
  /** The client's settings, checked. */
  readonly settings: readonly StartupParameter[];
  readonly keys: ScramKeyCache;
  /** The deadline, and whoever else may give up. */
  readonly signal: AbortSignal;
}

/** A connection that the server is ready to take queries on. Its socket is paused. */
export interface LoggedIn {
  readonly connection: Connection;
  /** The protocol's version that the server agreed to: at most the one that was asked for. */
  readonly version: number;
  /** Process id and true cancel secret. SECURITY: the secret stays here (invariant 16). */
  readonly key: BackendKeyData;
  /** The server's ParameterStatus messages and notices, as it sent them. */
  readonly greeting: readonly Uint8Array[];
  /** The parameters that they tell. */
  readonly parameters: ReadonlyMap<string, string>;
  /** What came behind ReadyForQuery. */
  readonly rest: Uint8Array;
}

/**
 * @param ready a connection that was made ahead, closed here if the login fails; absent: one is made
 * @throws JitdbError as {@link import("../../engine.ts").Sessions.open}
 */
export async function logIn(login: Login, ready?: Connection): Promise<LoggedIn> {
  const connection = ready ?? (await connectToServer(login.database, login.signal));
  const { socket } = connection;
  try {
    return await new Conversation(login, connection).run();
  } catch (error) {
    socket.destroy();
    connection.transport.destroy();
    throw error instanceof JitdbError ? error : unreachable(login.database, error);
  }
}

/** The messages of one login, in the order that the protocol wants. */
class Conversation {
  readonly #login: Login;
  readonly #connection: Connection;
  readonly #messages = new MessageCollector("backend", limits.maxMessageLength);
  #scram: ScramClient | undefined;
  /** The password went out in a way that the configuration allows, and that proves nothing of the server. */
  #isPasswordSent = false;
  #isAuthenticated = false;
  #version: number;
  #key: BackendKeyData | undefined;
  readonly #greeting: Uint8Array[] = [];
  readonly #parameters = new Map<string, string>();

  constructor(login: Login, connection: Connection) {
    this.#login = login;
    this.#connection = connection;
    this.#version = login.version;
  }

  async run(): Promise<LoggedIn> {
    const { socket } = this.#connection;
    socket.write(this.#startUp());
    let count = 0;
    for await (const message of this.#read()) {
      count += 1;
      if (count > limits.maxMessages) {
        throw refusedServer("it does not come to an end");
      }
      if (await this.#take(message)) {
        const key = this.#key;
        if (key === undefined) {
          throw refusedServer("it sent no cancel key");
        }
        return {
          connection: this.#connection,
          version: this.#version,
          key,
          greeting: this.#greeting,
          parameters: this.#parameters,
          rest: this.#messages.takeRest(),
        };
      }
    }
    throw new Error("It closed the connection during the login.");
  }

  /** Messages as they come. The socket is paused between reads, and when the reader leaves. */
  async *#read(): AsyncGenerator<Message> {
    const { socket } = this.#connection;
    for (;;) {
      const chunk = await nextChunk(socket, this.#login.signal);
      if (chunk === undefined) {
        return;
      }
      this.#messages.push(chunk);
      for (let message = this.#messages.next(); message; message = this.#messages.next()) {
        yield message;
      }
    }
  }

  #startUp(): Uint8Array {
    const { user, database, version, settings } = this.#login;
    return encodeStartupMessage({
      version,
      parameters: [
        { name: "user", value: encodeText(user.name) },
        { name: "database", value: encodeText(database.database) },
        ...settings,
      ],
    });
  }

  /** True: the server is ready. */
  async #take({ type, body }: Message): Promise<boolean> {
    if (type === backendMessages.ErrorResponse) {
      throw loginRefused(this.#login.database.name, parseErrorResponse(body), this.#isProven);
    }
    if (type === backendMessages.Authentication && !this.#isAuthenticated) {
      await this.#authenticate(parseAuthentication(body));
      return false;
    }
    if (type === backendMessages.NegotiateProtocolVersion) {
      this.#checkIsFirst();
      this.#negotiate(parseNegotiateProtocolVersion(body));
      return false;
    }
    if (!this.#isAuthenticated) {
      throw refusedServer(`message 0x${type.toString(16)} came before the login`);
    }
    switch (type) {
      case backendMessages.ParameterStatus: {
        const { name, value } = parseParameterStatus(body);
        this.#parameters.set(name, value);
        this.#greeting.push(encodeMessage(type, body));
        return false;
      }
      case backendMessages.NoticeResponse:
        this.#greeting.push(encodeMessage(type, body));
        return false;
      case backendMessages.BackendKeyData: {
        const { processId, secret } = parseBackendKeyData(body);
        this.#key = { processId, secret: new Uint8Array(secret) };
        return false;
      }
      case backendMessages.ReadyForQuery:
        parseReadyForQuery(body);
        return true;
      default:
        throw refusedServer(`message 0x${type.toString(16)} is none of a login`);
    }
  }

  /** The server knows an older version. It can do so once: what it agrees to is less than what was asked for. */
  #negotiate({ version, unknownOptions }: NegotiateProtocolVersion): void {
    if (version < protocolVersions.v3_0 || version >= this.#version || unknownOptions.length > 0) {
      throw refusedServer("it negotiates what nobody asked for");
    }
    this.#version = version;
  }

  async #authenticate(request: Authentication): Promise<void> {
    const { socket, serverEndPoint } = this.#connection;
    switch (request.kind) {
      case "sasl": {
        this.#checkIsFirst();
        const { mechanisms } = request;
        const scram = new ScramClient(scramCrypto, { mechanisms, serverEndPoint });
        this.#scram = scram;
        const { mechanism } = scram;
        socket.write(encodeSaslInitialResponse({ mechanism, data: scram.first() }));
        return;
      }
      case "sasl-continue": {
        const scram = this.#begun();
        const { user, keys } = this.#login;
        const challenge = scram.challenge(request.data);
        const derived = await keys.keysFor(user.name, user.password, challenge);
        socket.write(encodeSaslResponse(scram.respond(derived)));
        return;
      }
      case "sasl-final":
        this.#begun().verify(request.data);
        return;
      case "cleartext":
        this.#sendPassword("password", (password) => password);
        return;
      case "md5":
        this.#sendPassword("md5", (password) =>
          md5Password(this.#login.user.name, password, request.salt),
        );
        return;
      case "ok":
        // SECURITY: a server that lets us in without proof of the verifier is not the database, or asks nobody (invariant 17).
        if (this.#scram === undefined && !this.#isPasswordSent && !this.#allows("certificate")) {
          throw refusedServer("it asked for no password");
        }
        if (this.#scram?.isVerified === false) {
          throw refusedServer("it did not prove that it knows the password");
        }
        this.#isAuthenticated = true;
        return;
      default:
        throw refusedServer("it asked for a login that is not supported");
    }
  }

  /** Whether the server has proved who it is: by SCRAM, or by a certificate that was verified. */
  get #isProven(): boolean {
    const isCertified = this.#login.database.tls.mode.startsWith("verify-");
    return this.#scram?.isVerified === true || (this.#isAuthenticated && isCertified);
  }

  /** SECURITY: the password must not go to whoever asks for it in the clear or by a hash that can be broken (invariant 17). */
  #sendPassword(method: "password" | "md5", answer: (password: string) => string): void {
    if (!this.#allows(method)) {
      throw refusedServer(`it asked for the login ${method} instead of SCRAM-SHA-256`);
    }
    this.#checkIsFirst();
    this.#isPasswordSent = true;
    const { user } = this.#login;
    this.#connection.socket.write(encodePasswordMessage(answer(user.password.reveal())));
  }

  /** Checked once more than by the configuration: what is allowed is allowed under TLS. */
  #allows(method: LoginMethod): boolean {
    return (
      this.#connection.isEncrypted && this.#login.database.allowedLogins?.includes(method) === true
    );
  }

  #checkIsFirst(): void {
    if (this.#scram !== undefined || this.#isPasswordSent || this.#isAuthenticated) {
      throw refusedServer("it went back to the beginning of the authentication");
    }
  }

  #begun(): ScramClient {
    if (this.#scram === undefined) {
      throw refusedServer("it went on with an authentication that was not begun");
    }
    return this.#scram;
  }
}

/** Source: PostgreSQL manual, "Start-up", AuthenticationMD5Password. */
function md5Password(user: string, password: string, salt: Uint8Array): string {
  const md5 = (...parts: (string | Uint8Array)[]) =>
    parts.reduce((hash, part) => hash.update(part), createHash("md5")).digest("hex");
  return `md5${md5(md5(password, user), salt)}`;
}

/** The next bytes, or undefined when there will be none. The socket is paused before and after. */
function nextChunk(socket: Socket, signal: AbortSignal): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    const leave = () => {
      // At once and not after the promise: TLS may have the next chunk at hand, which nobody would hear.
      socket.pause();
      socket.off("data", onData).off("close", onClose);
      signal.removeEventListener("abort", onAbort);
    };
    const onData = (chunk: Uint8Array) => {
      leave();
      resolve(chunk);
    };
    const onClose = () => {
      leave();
      resolve(undefined);
    };
    const onAbort = () => {
      leave();
      reject(new Error("It did not answer in time.", { cause: signal.reason }));
    };
    if (signal.aborted || socket.destroyed) {
      reject(new Error("The connection is closed.", { cause: signal.reason }));
      return;
    }
    socket.on("data", onData).on("close", onClose);
    signal.addEventListener("abort", onAbort);
    socket.resume();
  });
}

function refusedServer(why: string): JitdbError {
  return new JitdbError("postgres.auth", "The login to the database was broken off.", {
    detail: why,
  });
}
