// Connections whose TCP and TLS are made ahead, so that a login does not wait for them: one for each database that somebody is
// expected at. Nothing has been said on them yet, neither a user nor a start-up packet.

import { withDeadline } from "../../../deadline.ts";
import { type Connection, connectToServer, type Target } from "./connection.ts";

/** In milliseconds. */
export const readyTimes = {
  /** None older than this is used: a server cuts off who does not log in within its authentication_timeout, 60 s by default. */
  oldestMs: 45_000,
  /** Made anew before that. */
  renewMs: 40_000,
  /** From the beginning to TLS. */
  connectMs: 10_000,
  /** After one that could not be made, or that the server closed. */
  pauseMs: 5000,
} as const;

export type ReadyTimes = { readonly [Name in keyof typeof readyTimes]: number };

/** A database that somebody is expected at. */
export interface Awaited {
  readonly database: Target;
  /** Whether its limit of connections has room for one more. */
  hasRoom(): boolean;
}

export class ReadyConnections {
  readonly #connect: typeof connectToServer;
  readonly #times: ReadyTimes;
  readonly #places = new Map<string, Place>();

  constructor(connect: typeof connectToServer = connectToServer, times: ReadyTimes = readyTimes) {
    this.#connect = connect;
    this.#times = times;
  }

  /** Keeps one ready for each of these, and closes those for others. What could not be made is tried again by the next call. */
  keep(awaited: readonly Awaited[]): void {
    const byName = new Map(awaited.map((one) => [one.database.name, one]));
    for (const [name, place] of this.#places) {
      if (byName.get(name)?.database !== place.database) {
        place.close();
        this.#places.delete(name);
      }
    }
    for (const [name, one] of byName) {
      const place = this.#places.get(name) ?? new Place(one, this.#connect, this.#times);
      this.#places.set(name, place);
      place.fill();
    }
  }

  /** The one that is ready, or nearly; another one takes its place. Undefined: there is none. The caller has to close it. */
  async take({ name }: Pick<Target, "name">): Promise<Connection | undefined> {
    return await this.#places.get(name)?.take();
  }
}

class Place {
  readonly database: Target;
  readonly #hasRoom: () => boolean;
  readonly #connect: typeof connectToServer;
  readonly #times: ReadyTimes;
  readonly #closing = new AbortController();
  #making: Promise<Connection | undefined> | undefined;
  #ready: { readonly connection: Connection; readonly madeAt: number } | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #notBefore = Number.NEGATIVE_INFINITY;

  constructor(awaited: Awaited, connect: typeof connectToServer, times: ReadyTimes) {
    this.database = awaited.database;
    this.#hasRoom = () => awaited.hasRoom();
    this.#connect = connect;
    this.#times = times;
  }

  fill(): void {
    const isBusy = this.#making !== undefined || this.#ready !== undefined;
    const isEarly = performance.now() < this.#notBefore;
    if (isBusy || isEarly || this.#closing.signal.aborted || !this.#hasRoom()) {
      return;
    }
    const making = this.#make();
    this.#making = making;
    void making.then((connection) => {
      // Unless somebody could not wait, and has it now.
      if (this.#making === making) {
        this.#making = undefined;
        this.#keep(connection);
      }
    });
  }

  async take(): Promise<Connection | undefined> {
    const ready = this.#release();
    const making = ready === undefined ? this.#making : undefined;
    if (making !== undefined) {
      this.#making = undefined;
    }
    this.fill();
    return ready ?? (await making);
  }

  close(): void {
    this.#closing.abort();
    discard(this.#release());
  }

  /** Undefined: it could not be made. A login that wants to know why makes one itself. */
  async #make(): Promise<Connection | undefined> {
    const { connectMs } = this.#times;
    try {
      return await withDeadline(connectMs, this.#closing.signal, (signal) =>
        this.#connect(this.database, signal),
      );
    } catch {
      this.#pause();
      return undefined;
    }
  }

  #keep(connection: Connection | undefined): void {
    if (this.#closing.signal.aborted) {
      discard(connection);
      return;
    }
    if (connection === undefined) {
      return;
    }
    this.#ready = { connection, madeAt: performance.now() };
    connection.socket.on("close", this.#onClose);
    // Reads ahead, to see the server leave.
    connection.socket.read(0);
    this.#renewal = setTimeout(() => this.#renew(), this.#times.renewMs).unref();
  }

  #renew(): void {
    discard(this.#release());
    this.fill();
  }

  readonly #onClose = (): void => {
    this.#release();
    this.#pause();
  };

  /** The one that is ready, no longer looked after; undefined where it would not do. */
  #release(): Connection | undefined {
    const ready = this.#ready;
    this.#ready = undefined;
    clearTimeout(this.#renewal);
    if (ready === undefined) {
      return undefined;
    }
    const { connection, madeAt } = ready;
    connection.socket.off("close", this.#onClose);
    const isOld = performance.now() - madeAt > this.#times.oldestMs;
    // SECURITY: a server says nothing before the start-up packet; what came is not taken for an answer to it.
    if (isOld || connection.socket.destroyed || connection.socket.readableLength > 0) {
      discard(connection);
      return undefined;
    }
    return connection;
  }

  #pause(): void {
    this.#notBefore = performance.now() + this.#times.pauseMs;
  }
}

function discard(connection: Connection | undefined): void {
  connection?.socket.destroy();
  connection?.transport.destroy();
}
