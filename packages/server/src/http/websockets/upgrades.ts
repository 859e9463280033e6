// WebSocket upgrades: who may open a tunnel or listen to events, decided before the upgrade completes (invariant 10).
// Knows nothing of what is said on a connection afterwards.

import { once } from "node:events";
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import { type Clock, type Random, randomBase32 } from "@jitdb/shared/ids";
import type { Logger } from "pino";
import { WebSocketServer, type Server as WebSocketServerOf } from "ws";
import type { Journal } from "../../audit/journal.ts";
import type { Authenticator } from "../../identity/authenticator.ts";
import type { Caller } from "../../identity/caller.ts";
import { type Rate, RateLimit } from "../../rate-limit.ts";
import { calledUrl } from "../authentication.ts";
import type { TrustedProxies } from "../proxies.ts";
import { refuse } from "../refusal.ts";
import { FastWebSocket } from "./fast-websocket.ts";

/** One kind of connection. */
export interface WebSocketEndpoint {
  readonly path: string;
  readonly subprotocol: string;
  readonly maxMessageBytes: number;
  /** Connections of one person at a time. */
  readonly maxPerPerson: number;
  /** Takes over the open connection. */
  accept(socket: FastWebSocket, caller: Caller): void;
}

export interface UpgradePorts {
  readonly publicUrl: string;
  readonly proxies: TrustedProxies;
  readonly authenticator: Authenticator;
  readonly journal: Pick<Journal, "record">;
  readonly logger: Logger;
  readonly random: Random;
  readonly clock: Clock;
  readonly endpoints: readonly WebSocketEndpoint[];
}

/** Refusals of callers without a login that get a record each. */
const strangerRecords: Rate = { burst: 100, perSecond: 1 };

/** How long connections may take to close before they are cut. */
const closeTimeoutMs = 1000;

/**
 * Answers every upgrade that `server` gets from now on. `close` refuses further ones, gives open connections a moment
 * to close, and cuts the rest; end them first.
 */
export function serveWebSockets(server: Server, ports: UpgradePorts): { close(): Promise<void> } {
  const doors = new Map(ports.endpoints.map((one) => [one.path, new Door(one, ports)]));
  const sockets = new Set<Duplex>();
  let closing = false;
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // A peer that goes away while it is being checked harms nobody; without a listener it would end the process.
    socket.on("error", () => socket.destroy());
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    const [path = ""] = (request.url ?? "").split("?");
    const door = doors.get(path);
    if (closing) {
      refuse(socket, new JitdbError("tunnel.going_away", "The server is stopping."), "");
    } else if (door === undefined) {
      refuse(socket, new JitdbError("api.unknown", "There is nothing at this path."), "");
    } else {
      void door.open(request, socket, head);
    }
  });
  return {
    async close() {
      closing = true;
      const all = [...sockets].map((socket) => once(socket, "close"));
      const deadline = AbortSignal.timeout(closeTimeoutMs);
      deadline.addEventListener("abort", () => {
        for (const socket of sockets) {
          socket.destroy();
        }
      });
      await Promise.all(all);
    },
  };
}

/** One endpoint: its checks in order, its count of connections, its refusals on record. */
class Door {
  readonly #endpoint: WebSocketEndpoint;
  readonly #ports: UpgradePorts;
  readonly #connections = new Map<string, number>();
  readonly #webSockets: WebSocketServerOf<typeof FastWebSocket>;
  /** SECURITY: nobody without a login may fill the journal's disk, which would stop everybody's statements. */
  readonly #strangers: RateLimit;
  #unrecorded = 0;

  constructor(endpoint: WebSocketEndpoint, ports: UpgradePorts) {
    this.#endpoint = endpoint;
    this.#ports = ports;
    this.#strangers = new RateLimit(strangerRecords, ports.clock);
    this.#webSockets = new WebSocketServer({
      noServer: true,
      WebSocket: FastWebSocket,
      clientTracking: false,
      // SECURITY: a few compressed bytes could otherwise unfold to the message limit again and again.
      perMessageDeflate: false,
      maxPayload: endpoint.maxMessageBytes,
      handleProtocols: () => endpoint.subprotocol,
    });
  }

  async open(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const address = this.#ports.proxies.clientAddress(request);
    let caller: Caller | undefined;
    try {
      checkHeaders(request, this.#endpoint.subprotocol);
      caller = await this.#authenticate(request, address);
      this.#checkCount(caller);
      this.#upgrade(request, socket, head, caller);
    } catch (thrown) {
      this.#refuse(socket, thrown, address, caller);
    }
  }

  async #authenticate(request: IncomingMessage, address: string): Promise<Caller> {
    const { authorization, dpop } = request.headers;
    return await this.#ports.authenticator.authenticate({
      method: "GET",
      url: calledUrl(this.#ports.publicUrl, request.url ?? ""),
      authorization,
      proof: Array.isArray(dpop) ? dpop.join(", ") : dpop,
      address,
    });
  }

  #checkCount(caller: Caller): void {
    const { maxPerPerson, path } = this.#endpoint;
    if ((this.#connections.get(caller.personId) ?? 0) >= maxPerPerson) {
      throw new JitdbError(
        "limit.reached",
        `${caller.name} has ${maxPerPerson} connections to ${path} already.`,
      );
    }
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, caller: Caller): void {
    // It may have gone while it was being authenticated; ws would take it for a new one.
    if (socket.destroyed) {
      return;
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#count(caller.personId, 1);
      webSocket.once("close", () => this.#count(caller.personId, -1));
      webSocket.takeOver(socket, this.#endpoint.maxMessageBytes);
      this.#endpoint.accept(webSocket, caller);
    });
  }

  #count(personId: string, change: 1 | -1): void {
    const count = (this.#connections.get(personId) ?? 0) + change;
    if (count === 0) {
      this.#connections.delete(personId);
    } else {
      this.#connections.set(personId, count);
    }
  }

  #refuse(socket: Duplex, thrown: unknown, address: string, caller: Caller | undefined): void {
    const error = toJitdbError(thrown);
    const { journal, logger, random } = this.#ports;
    const requestId = randomBase32(random, 12);
    const level = error.forms.http >= 500 ? "error" : "info";
    logger[level]({ err: error, cause: error.cause, requestId, address }, "upgrade refused");
    if (caller === undefined && !this.#strangers.take()) {
      this.#unrecorded += 1;
      refuse(socket, error, requestId);
      return;
    }
    const unrecorded = this.#unrecorded === 0 ? undefined : this.#unrecorded;
    this.#unrecorded = 0;
    try {
      journal.record({
        kind: "tunnel.refused",
        unrecorded,
        code: error.code,
        reason: `${this.#endpoint.path}: ${error.message}`,
        address,
        person: caller?.name,
        device: caller?.deviceId,
      });
    } catch (failure) {
      // The refusal stands whether or not it can be written down.
      logger.error({ err: failure }, "a refused upgrade is not on record");
    }
    refuse(socket, error, requestId);
  }
}

/** What can be refused without knowing who calls. */
function checkHeaders(request: IncomingMessage, subprotocol: string): void {
  const { headers, url = "" } = request;
  if (headers.origin !== undefined) {
    // SECURITY: only browsers send it, and no page has business here (cross-site WebSocket hijacking).
    throw new JitdbError("access.forbidden", "Browsers can't connect here.", {
      hint: "Use the jitdb command.",
    });
  }
  if (url.includes("?")) {
    // SECURITY: URLs end up in logs of proxies; a token in one is refused before it becomes a habit.
    throw new JitdbError("usage.invalid", "This path takes no query; a login goes into headers.");
  }
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((one) => one.trim());
  if (!offered.includes(subprotocol)) {
    throw new JitdbError("usage.invalid", `The subprotocol ${subprotocol} was not offered.`, {
      hint: "Check that CLI and server are of the same major version.",
    });
  }
}
