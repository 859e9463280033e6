// The events WebSocket: turns the bus's hints into what each listener may see, read anew from the store for each of them.

import type { ServerEvent } from "@jitdb/shared/api/events";
import { catalogue, type ErrorCode, toJitdbError } from "@jitdb/shared/errors";
import type { Clock, GrantId } from "@jitdb/shared/ids";
import type { Logger } from "pino";
import type { WebSocket } from "ws";
import type { AccessService } from "../../access/service.ts";
import { standingOf } from "../../access/standing.ts";
import type { Bus, Hint } from "../../bus.ts";
import type { Caller } from "../../identity/caller.ts";
import type { Store } from "../../store/store.ts";

export const eventLimits = {
  /** Listeners have nothing to say. */
  maxMessageBytes: 1024,
  maxPerPerson: 16,
  /** Hints that wait for one listener. */
  maxPending: 256,
  /** Bytes that one listener has not read. */
  maxBufferedBytes: 1024 * 1024,
  pingIntervalMs: 30_000,
  /** Time before a grant's end at which its owner is told. */
  noticesMs: [300_000, 60_000],
} as const;

export interface EventPorts {
  readonly access: Pick<AccessService, "getRequest" | "getGrant">;
  readonly store: Pick<Store, "db">;
  readonly bus: Pick<Bus, "on">;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Everybody who listens. `tick` is to be called every second or so; `close` ends all connections. */
export class Events {
  readonly #ports: EventPorts;
  readonly #listeners = new Set<Listener>();
  /** The shortest notice that went out for a grant. */
  readonly #noticed = new Map<GrantId, number>();
  readonly #unsubscribe: () => void;

  constructor(ports: EventPorts) {
    this.#ports = ports;
    this.#unsubscribe = ports.bus.on((hint) => {
      for (const listener of this.#listeners) {
        listener.take(hint);
      }
    });
  }

  accept(socket: WebSocket, caller: Caller): void {
    const listener = new Listener(socket, caller, this.#ports);
    this.#listeners.add(listener);
    socket.on("close", () => this.#listeners.delete(listener));
    // ws closes the connection after an error by itself.
    socket.on("error", (error) => this.#ports.logger.debug({ err: error }, "events connection"));
    socket.on("message", () => listener.end("usage.invalid"));
  }

  /** Sends what time has brought: notices of grants that end soon, pings, the end of logins. */
  async tick(): Promise<void> {
    const now = this.#ports.clock.now();
    for (const listener of this.#listeners) {
      listener.check(now);
    }
    if (this.#listeners.size > 0) {
      await this.#sendNotices(now);
    }
  }

  close(): void {
    this.#unsubscribe();
    for (const listener of this.#listeners) {
      listener.end("tunnel.going_away");
    }
  }

  async #sendNotices(now: number): Promise<void> {
    const [first] = eventLimits.noticesMs;
    const ending = await this.#ports.store.db
      .selectFrom("grants")
      .select(["id", "person_id", "ends_at"])
      .where("state", "=", "active")
      .where("ends_at", ">", now)
      .where("ends_at", "<=", now + first)
      .execute();
    for (const { id, person_id, ends_at } of ending) {
      const notice = eventLimits.noticesMs.findLast((ms) => ends_at - now <= ms) ?? first;
      if (notice < (this.#noticed.get(id) ?? Number.POSITIVE_INFINITY)) {
        this.#noticed.set(id, notice);
        for (const listener of this.#listeners) {
          listener.remind(person_id, id, Math.ceil((ends_at - now) / 1000));
        }
      }
    }
    const live = new Set(ending.map(({ id }) => id));
    for (const id of this.#noticed.keys()) {
      if (!live.has(id)) {
        this.#noticed.delete(id);
      }
    }
  }
}

/** One connection: a set of hints that wait, and one loop that turns them into messages. */
class Listener {
  readonly #socket: WebSocket;
  #caller: Caller;
  readonly #ports: EventPorts;
  /** By type and id: ten hints about one request are answered by one look at it. */
  readonly #pending = new Map<string, () => Promise<ServerEvent | undefined>>();
  #pumping = false;
  #alive = true;
  #lastPing: number;

  constructor(socket: WebSocket, caller: Caller, ports: EventPorts) {
    this.#socket = socket;
    this.#caller = caller;
    this.#ports = ports;
    this.#lastPing = ports.clock.now();
    socket.on("pong", () => {
      this.#alive = true;
    });
  }

  take({ type, id }: Hint): void {
    const { access } = this.#ports;
    switch (type) {
      case "request":
        this.#queue(`request:${id}`, async () => ({
          type: "request.changed",
          request: await access.getRequest(this.#caller, id),
        }));
        break;
      case "grant":
        this.#queue(`grant:${id}`, async () => ({
          type: "grant.changed",
          grant: await access.getGrant(this.#caller, id),
        }));
        break;
      case "person":
      case "device":
        if (id === this.#caller.personId || id === this.#caller.deviceId) {
          this.#queue("standing", () => this.#refresh());
        }
        break;
      case "session":
      case "outbox":
        break;
    }
  }

  /** Tells the owner of a grant that it ends. */
  remind(owner: string, id: GrantId, secondsLeft: number): void {
    if (owner === this.#caller.personId) {
      this.#queue(`ending:${id}`, async () => ({
        type: "grant.ending",
        grant: await this.#ports.access.getGrant(this.#caller, id),
        secondsLeft,
      }));
    }
  }

  check(now: number): void {
    if (now >= this.#caller.tokenExpiresAt) {
      this.end("login.expired");
    } else if (now - this.#lastPing >= eventLimits.pingIntervalMs) {
      if (!this.#alive) {
        this.#socket.terminate();
        return;
      }
      this.#alive = false;
      this.#lastPing = now;
      this.#socket.ping();
    }
  }

  end(code: ErrorCode): void {
    this.#pending.clear();
    this.#socket.close(catalogue[code].wsClose, code);
  }

  #queue(key: string, read: () => Promise<ServerEvent | undefined>): void {
    if (this.#socket.readyState !== this.#socket.OPEN) {
      return;
    }
    this.#pending.set(key, read);
    if (this.#pending.size > eventLimits.maxPending) {
      this.end("limit.reached");
    } else if (!this.#pumping) {
      this.#pumping = true;
      void this.#pump();
    }
  }

  async #pump(): Promise<void> {
    for (const [key, read] of this.#pending) {
      this.#pending.delete(key);
      try {
        const event = await read();
        if (event !== undefined) {
          this.#send(event);
        }
      } catch (thrown) {
        this.#failed(thrown);
      }
    }
    this.#pumping = false;
  }

  #send(event: ServerEvent): void {
    if (this.#socket.bufferedAmount > eventLimits.maxBufferedBytes) {
      // It does not read, so it would not read a close frame either.
      this.#socket.terminate();
    } else {
      this.#socket.send(JSON.stringify(event));
    }
  }

  /** What the caller may not see is not told; a login that is over ends the connection. */
  #failed(thrown: unknown): void {
    const error = toJitdbError(thrown);
    if (error.code.startsWith("login.")) {
      this.end(error.code);
    } else if (error.forms.http >= 500) {
      this.#ports.logger.error({ err: thrown }, "an event was not sent");
    }
  }

  /** Groups decide what a listener sees; they count as they are now. */
  async #refresh(): Promise<undefined> {
    const standing = await standingOf(this.#ports.store.db, this.#caller);
    this.#caller = { ...this.#caller, ...standing };
  }
}
