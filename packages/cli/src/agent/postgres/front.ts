// PostgreSQL's front: serves local clients, each from its first byte to its last.

import type { Socket } from "node:net";
import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { BackendKeyData } from "@jitdb/shared/postgres/backend";
import { encodeRefusal } from "@jitdb/shared/postgres/native-error";
import {
  deriveKeys,
  type ScramVerifier,
  scramSaltBytes,
  toVerifier,
} from "@jitdb/shared/postgres/scram/verifier";
import {
  type CancelRequest,
  encodeCancelRequest,
  encodeStartupMessage,
} from "@jitdb/shared/postgres/startup";
import type { Door, Front, FrontPorts } from "../engine.ts";
import type { AgentStream, OpenStream } from "../stream.ts";
import { Relay } from "./relay.ts";
import { scramCrypto } from "./scram-crypto.ts";
import { checkPassword, type Opening, readOpening } from "./start-up.ts";

/** Limits of what local programs may take. */
export const frontLimits = {
  /** Clients that are served at once. */
  maxClients: 100,
  /** Clients of one door that have not yet said who they are; further ones are told to come again. */
  maxStarting: 32,
  /** From the connection to the proven password. SECURITY: a client that sends a byte now and then must not hold a place. */
  startUpTimeoutMs: 30_000,
  /** For the gateway to pass on a cancel request. */
  cancelTimeoutMs: 30_000,
  /** For clients to read why the agent ends. */
  closeTimeoutMs: 1000,
} as const;

export type FrontLimits = { readonly [Name in keyof typeof frontLimits]: number };

/** The iterations that PostgreSQL itself uses by default. The password is random: more would protect nothing. */
const iterations = 4096;

export class PostgresFront implements Front {
  readonly #openStream: OpenStream;
  readonly #verifier: ScramVerifier;
  readonly #limits: FrontLimits;
  readonly #sockets = new Set<Socket>();
  readonly #starting: Record<Door, number> = { tcp: 0, socket: 0 };
  readonly #relays = new Set<Relay>();
  /** Cancel keys of the clients that are served. */
  readonly #cancelKeys = new Set<string>();

  private constructor(openStream: OpenStream, verifier: ScramVerifier, limits: FrontLimits) {
    this.#openStream = openStream;
    this.#verifier = verifier;
    this.#limits = limits;
  }

  static async create(
    ports: FrontPorts,
    limits: FrontLimits = frontLimits,
  ): Promise<PostgresFront> {
    const salt = scramCrypto.randomBytes(scramSaltBytes);
    const keys = await deriveKeys(scramCrypto, ports.password.reveal(), salt, iterations);
    const verifier = toVerifier(scramCrypto, keys, salt, iterations);
    return new PostgresFront(ports.openStream, verifier, limits);
  }

  accept(socket: Socket, door: Door): void {
    socket.on("error", () => {
      // A client that breaks off; `close` follows.
    });
    if (this.#starting[door] >= this.#limits.maxStarting) {
      socket.write(encodeRefusal(crowded()));
      socket.destroySoon();
      return;
    }
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("close", () => this.#sockets.delete(socket));
    void this.#serve(socket, door);
  }

  async close(error: JitdbError): Promise<void> {
    for (const relay of this.#relays) {
      relay.end(error);
    }
    const closed = [...this.#sockets].map(
      (socket) => new Promise((resolve) => socket.once("close", resolve)),
    );
    const timer = setTimeout(() => {
      for (const socket of this.#sockets) {
        socket.destroy();
      }
    }, this.#limits.closeTimeoutMs);
    await Promise.all(closed);
    clearTimeout(timer);
  }

  async #serve(socket: Socket, door: Door): Promise<void> {
    const opening = await this.#start(socket, door);
    if (opening === undefined) {
      return;
    }
    const { packet, rest } = opening;
    if (packet.kind === "cancel") {
      await this.#cancel(socket, packet);
      return;
    }
    const keys = new Set<string>();
    const relay = new Relay(socket, {
      early: rest,
      onKey: (key) => {
        keys.add(toText(key));
        this.#cancelKeys.add(toText(key));
      },
      onClose: () => {
        this.#relays.delete(relay);
        for (const key of keys) {
          this.#cancelKeys.delete(key);
        }
      },
    });
    try {
      if (this.#relays.size >= this.#limits.maxClients) {
        throw new JitdbError(
          "limit.reached",
          `${this.#limits.maxClients} clients are connected already.`,
        );
      }
      this.#relays.add(relay);
      relay.bind(await this.#openStream("session", encodeStartupMessage(packet), relay));
    } catch (thrown) {
      relay.end(toJitdbError(thrown));
    }
  }

  /** Hears who is there; undefined where nobody is to be served. No byte goes to the gateway before (invariants 9, 43). */
  async #start(socket: Socket, door: Door): Promise<Opening | undefined> {
    this.#starting[door] += 1;
    const deadline = setTimeout(() => socket.destroy(), this.#limits.startUpTimeoutMs);
    let speaksPostgres = false;
    try {
      const opening = await readOpening(socket);
      speaksPostgres = true;
      if (opening.packet.kind === "cancel") {
        return opening;
      }
      if (door === "socket") {
        return opening;
      }
      return { ...opening, rest: await checkPassword(socket, this.#verifier, opening.rest) };
    } catch (thrown) {
      const error = toJitdbError(thrown);
      // SECURITY: whoever speaks no PostgreSQL is told nothing (invariant 9).
      if (speaksPostgres || error.code === "postgres.version") {
        socket.write(encodeRefusal(error));
      }
      socket.destroySoon();
      return undefined;
    } finally {
      clearTimeout(deadline);
      this.#starting[door] -= 1;
    }
  }

  /** The client's socket stays open until the gateway has done its part: libpq takes the close for the cancel's arrival. */
  async #cancel(socket: Socket, request: CancelRequest): Promise<void> {
    // SECURITY: a cancel comes without a password; who knows no key of ours is nobody, and reaches no gateway (invariant 43).
    if (!this.#cancelKeys.has(toText(request))) {
      socket.destroy();
      return;
    }
    const deadline = setTimeout(() => socket.destroy(), this.#limits.cancelTimeoutMs);
    socket.on("close", () => clearTimeout(deadline));
    // Read on, to see the client leave.
    socket.resume();
    let stream: AgentStream | undefined;
    try {
      stream = await this.#openStream("cancel", encodeCancelRequest(request), {
        opened: () => stream?.close(),
        data: (bytes) => stream?.consumed(bytes),
        writable: () => undefined,
        peerClosed: () => socket.end(),
        ended: () => socket.end(),
      });
    } catch {
      // A cancel request has no answer, not even an error: the client sees its statement go on.
      socket.destroy();
    }
  }
}

function crowded(): JitdbError {
  return new JitdbError("limit.reached", "Too many clients are connecting at this moment.", {
    hint: "Try again in a moment.",
  });
}

function toText({ processId, secret }: BackendKeyData): string {
  return `${processId}:${Buffer.from(secret).toString("hex")}`;
}
