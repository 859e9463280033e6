// A login that no client has yet. Nothing but the login has been said on it, and the server has answered nothing since.

import type { SpareLogin } from "../../engine.ts";
import { sayGoodbye } from "./connection.ts";
import type { LoggedIn } from "./login.ts";

export class PostgresSpareLogin implements SpareLogin {
  readonly backendPid: number;
  readonly greeting: Uint8Array;
  readonly closed: Promise<void>;
  #leave: () => void = () => undefined;
  #login: LoggedIn | undefined;

  constructor(login: LoggedIn, greeting: Uint8Array) {
    const { connection } = login;
    const { socket } = connection;
    this.#login = login;
    this.backendPid = login.key.processId;
    // Of its own size: a small Buffer keeps the 64 KB alive that it was cut from.
    this.greeting = new Uint8Array(greeting);
    this.closed = new Promise((resolve) => {
      this.#leave = resolve;
    });
    socket.once("close", this.#leave);
    if (socket.destroyed) {
      this.#leave();
    }
    // What a server says now no client would hear: a goodbye, or that a setting is another one.
    connection.read(() => this.close());
    socket.resume();
  }

  /** The login is the caller's from now on, its socket paused. Undefined: it is lost, or taken, or the server has said something. */
  take(): LoggedIn | undefined {
    const login = this.#login;
    if (login === undefined || login.connection.socket.destroyed) {
      return undefined;
    }
    this.#login = undefined;
    login.connection.socket.pause();
    login.connection.read(undefined);
    login.connection.socket.off("close", this.#leave);
    this.#leave();
    return login;
  }

  close(): void {
    const connection = this.#login?.connection;
    this.#login = undefined;
    if (connection !== undefined) {
      sayGoodbye(connection);
    }
  }
}
