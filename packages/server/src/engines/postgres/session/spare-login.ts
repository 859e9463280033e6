// A login that no client has yet. Nothing but the login has been said on it, and the server has answered nothing since.

import type { SpareLogin } from "../../engine.ts";
import { sayGoodbye } from "./connection.ts";
import type { LoggedIn } from "./login.ts";

export class PostgresSpareLogin implements SpareLogin {
  readonly backendPid: number;
  readonly closed: Promise<void>;
  #login: LoggedIn | undefined;

  constructor(login: LoggedIn) {
    const { socket } = login.connection;
    this.#login = login;
    this.backendPid = login.key.processId;
    this.closed = new Promise((resolve) => {
      if (socket.destroyed) {
        resolve();
      } else {
        socket.once("close", () => resolve());
      }
    });
    // Reads ahead, to see the server leave.
    socket.read(0);
  }

  /** The login is the caller's from now on. Undefined: it is lost, or taken, or the server has said something that no client has heard. */
  take(): LoggedIn | undefined {
    const login = this.#login;
    if (login === undefined) {
      return undefined;
    }
    const { socket } = login.connection;
    if (socket.destroyed || socket.readableLength > 0) {
      this.close();
      return undefined;
    }
    this.#login = undefined;
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
