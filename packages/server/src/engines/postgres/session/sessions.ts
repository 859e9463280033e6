// Opens sessions: the client's start-up is checked, the login made, and the relay put together.

import { decodeText } from "@jitdb/shared/postgres/reader";
import type { Session, SessionPorts, SessionRequest, Sessions } from "../../engine.ts";
import { Observer } from "../observer/observer.ts";
import { logIn } from "./login.ts";
import { Relay } from "./relay.ts";
import { ScramKeyCache } from "./scram-keys.ts";
import { readStartUp } from "./start-up.ts";

/** From the first packet to ReadyForQuery. */
const loginDeadlineMs = 10_000;

export class PostgresSessions implements Sessions {
  readonly #ports: SessionPorts;
  readonly #keys = new ScramKeyCache();

  constructor(ports: SessionPorts) {
    this.#ports = ports;
  }

  /**
   * The stream to the client begins, at `start`, with the server's ParameterStatus messages, BackendKeyData (the true
   * process id, a secret of ours) and ReadyForQuery. What stands before them in a login of PostgreSQL is the front's, which
   * speaks to the client first: NegotiateProtocolVersion, the authentication, AuthenticationOk.
   */
  async open(request: SessionRequest): Promise<Session> {
    const { database, user, signal } = request;
    const settings = readStartUp(request.startup, database);
    const login = await logIn({
      database,
      user,
      settings,
      keys: this.#keys,
      signal: AbortSignal.any([signal, AbortSignal.timeout(loginDeadlineMs)]),
    });
    const parameters = Object.fromEntries(
      settings.map(({ name, value }) => [name, decodeText(value)]),
    );
    const { journal, masker, clock } = this.#ports;
    const observer = new Observer({
      masker,
      settings: login.parameters,
      subject: request.subject,
      append: (event) => journal.append(event),
      now: () => clock.now(),
    });
    return new Relay({ request, ports: this.#ports, login, observer, parameters });
  }
}
