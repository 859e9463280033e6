// Opens sessions: the client's start-up is checked, the login made, and the relay put together.

import { JitdbError } from "@jitdb/shared/errors";
import {
  encodeAuthenticationOk,
  encodeNegotiateProtocolVersion,
} from "@jitdb/shared/postgres/encoder";
import { decodeText } from "@jitdb/shared/postgres/reader";
import { newestProtocolVersion } from "@jitdb/shared/postgres/startup";
import type {
  ExpectedDatabase,
  LoginRequest,
  Session,
  SessionPorts,
  SessionRequest,
  Sessions,
  SpareLogin,
} from "../../engine.ts";
import { Observer } from "../observer/observer.ts";
import { FunctionNames } from "./function-names.ts";
import { type LoggedIn, type Login, logIn } from "./login.ts";
import { ReadyConnections } from "./ready-connections.ts";
import { Relay } from "./relay.ts";
import { ScramKeyCache } from "./scram-keys.ts";
import { PostgresSpareLogin } from "./spare-login.ts";
import { readStartUp, type StartUp } from "./start-up.ts";

/** From the first packet to ReadyForQuery. */
const loginDeadlineMs = 10_000;
/** Of that, over a connection that was made ahead. */
const readyLoginMs = 2000;

export class PostgresSessions implements Sessions {
  readonly #ports: SessionPorts;
  readonly #keys = new ScramKeyCache();
  readonly #ready = new ReadyConnections();

  constructor(ports: SessionPorts) {
    this.#ports = ports;
  }

  /**
   * The stream to the client begins, at `start`, with what stands in a login of PostgreSQL behind the proof of the password:
   * NegotiateProtocolVersion where the client asked for more than there is, AuthenticationOk, the server's ParameterStatus
   * messages, BackendKeyData (the true process id, a secret of ours) and ReadyForQuery. What stands before it is the front's.
   */
  async open(request: SessionRequest): Promise<Session> {
    const { database } = request;
    const startUp = readStartUp(request.startup, database);
    const { settings } = startUp;
    const loggedIn = takeSpare(request.spare) ?? (await this.#logIn(request, startUp));
    const login = {
      ...loggedIn,
      greeting: [
        ...negotiate(startUp, loggedIn.version),
        encodeAuthenticationOk(),
        ...loggedIn.greeting,
      ],
    };
    const parameters = Object.fromEntries(
      settings.map(({ name, value }) => [name, decodeText(value)]),
    );
    const { journal, turn, masker, maxTextBytes, clock, log } = this.#ports;
    const { subject } = request;
    const names = new FunctionNames({
      database,
      named: (statement, oid, name) => {
        journal.append({ kind: "statement.function", ...subject, statement, function: oid, name });
        turn.flush();
      },
      onError: (error) =>
        log.warn(
          { err: error, session: subject.session },
          "a called function has no name on record",
        ),
    });
    const observer = new Observer({
      masker,
      maxTextBytes,
      functionCalled: (statement, oid) => names.called(statement, oid),
      settings: login.parameters,
      subject,
      append: (event) => journal.append(event),
      now: () => clock.now(),
    });
    return new Relay({ request, ports: this.#ports, login, observer, parameters });
  }

  async logInAhead(request: LoginRequest): Promise<SpareLogin> {
    const startUp = readStartUp(request.startup, request.database);
    return new PostgresSpareLogin(await this.#logIn(request, startUp));
  }

  keepReady(expected: readonly ExpectedDatabase[]): void {
    this.#ready.keep(expected);
  }

  /**
   * A connection that was ready a moment ago may be lost, with or without a word of the network: then the login begins once more over a
   * fresh one.
   */
  async #logIn({ database, user, signal }: LoginRequest, startUp: StartUp): Promise<LoggedIn> {
    const login: Login = {
      database,
      user,
      version: Math.min(startUp.version, newestProtocolVersion),
      settings: startUp.settings,
      keys: this.#keys,
      signal: AbortSignal.any([signal, AbortSignal.timeout(loginDeadlineMs)]),
    };
    const ready = await this.#ready.take(login.database);
    if (ready === undefined) {
      return await logIn(login);
    }
    try {
      const patience = AbortSignal.timeout(readyLoginMs);
      return await logIn({ ...login, signal: AbortSignal.any([login.signal, patience]) }, ready);
    } catch (error) {
      const isLost = error instanceof JitdbError && error.code === "database.unavailable";
      if (!isLost || login.signal.aborted) {
        throw error;
      }
      return await logIn(login);
    }
  }
}

function takeSpare(spare: SpareLogin | undefined): LoggedIn | undefined {
  return spare instanceof PostgresSpareLogin ? spare.take() : undefined;
}

/** As the server: it tells what it agrees to where that is less than was asked for, or where it does not know an option. */
function negotiate({ version, protocolOptions }: StartUp, agreed: number): Uint8Array[] {
  return version === agreed && protocolOptions.length === 0
    ? []
    : [encodeNegotiateProtocolVersion(agreed, protocolOptions)];
}
