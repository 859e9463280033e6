// Opens sessions: the client's start-up is checked, the login made, and the relay put together.

import { JitdbError } from "@jitdb/shared/errors";
import { decodeText } from "@jitdb/shared/postgres/reader";
import { newestProtocolVersion } from "@jitdb/shared/postgres/startup";
import { withDeadline } from "../../../deadline.ts";
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
import { greet, greetAgain, readGreeting } from "./greeting.ts";
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
   * The stream to the client begins, at `start`, with what stands in a login of PostgreSQL behind the proof of the password
   * (greeting.ts), or with what a greeted client does not know of it. What stands before it is the front's.
   */
  async open(request: SessionRequest): Promise<Session> {
    const { database } = request;
    const startUp = readStartUp(request.startup, database);
    const { settings } = startUp;
    const told = request.greeted === undefined ? undefined : readGreeting(request.greeted);
    const login = takeSpare(request.spare) ?? (await this.#logIn(request, startUp));
    const greeting =
      told === undefined ? greet(startUp, login, this.#ports.random) : greetAgain(told, login);
    const parameters = Object.fromEntries(
      settings.map(({ name, value }) => [name, decodeText(value)]),
    );
    const { journal, masker, maxTextBytes, clock } = this.#ports;
    const { subject } = request;
    const functions = new FunctionNames(this.#ports, database, subject);
    const observer = new Observer({
      ...{ subject, journal, clock, masker, maxTextBytes, functions },
      settings: login.parameters,
    });
    return new Relay({ request, ports: this.#ports, login, greeting, observer, parameters });
  }

  async logInAhead(request: LoginRequest): Promise<SpareLogin> {
    const startUp = readStartUp(request.startup, request.database);
    const login = await this.#logIn(request, startUp);
    return new PostgresSpareLogin(login, greet(startUp, login, this.#ports.random).bytes);
  }

  keepReady(expected: readonly ExpectedDatabase[]): void {
    this.#ready.keep(expected);
  }

  /**
   * A connection that was ready a moment ago may be lost, with or without a word of the network: then the login begins once more over a
   * fresh one.
   */
  async #logIn({ database, user, signal }: LoginRequest, startUp: StartUp): Promise<LoggedIn> {
    return await withDeadline(loginDeadlineMs, signal, (either) =>
      this.#logInBy({
        database,
        user,
        version: Math.min(startUp.version, newestProtocolVersion),
        settings: startUp.settings,
        keys: this.#keys,
        signal: either,
      }),
    );
  }

  async #logInBy(login: Login): Promise<LoggedIn> {
    const ready = await this.#ready.take(login.database);
    if (ready === undefined) {
      return await logIn(login);
    }
    try {
      return await withDeadline(readyLoginMs, login.signal, (signal) =>
        logIn({ ...login, signal }, ready),
      );
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
