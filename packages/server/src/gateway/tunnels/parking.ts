// Which tunnel a ticket stands for, and how long, how many and how large tunnels without a WebSocket may wait for their agents.

import { createHash } from "node:crypto";
import { JitdbError } from "@jitdb/shared/errors";
import type { Clock, Random } from "@jitdb/shared/ids";
import { Secret } from "@jitdb/shared/secret";
import type { HelloMap } from "@jitdb/shared/tunnel/maps";
import type { Caller } from "../../identity/caller.ts";
import type { StreamEnd } from "./stream-end.ts";
import type { Arrival } from "./tunnel-end.ts";

export interface ParkingLimits {
  /** How long a tunnel waits. */
  readonly parkedMs: number;
  /** How long a session waits that runs something or has a transaction open: it may hold locks. */
  readonly busyMs: number;
  /** Tunnels that wait, of one person and of all. */
  readonly maxOfPerson: number;
  readonly maxTunnels: number;
  /** What all that wait may keep for their agents. */
  readonly maxBytes: number;
}

/** What the parking needs of a tunnel. */
export interface Parkable {
  readonly caller: Caller;
  readonly isParked: boolean;
  readonly bufferedBytes: number;
  readonly streams: Iterable<StreamEnd>;
  /** Goes on with the WebSocket. */
  attach(arrival: Arrival, caller: Caller): void;
  close(error: JitdbError): void;
}

export type TicketRefusal = "unknown" | "another device's";

const ticketBytes = 32;

export class Parking {
  readonly #limits: ParkingLimits;
  readonly #clock: Clock;
  readonly #random: Random;
  /**
   * SECURITY: by the SHA-256 of the ticket: looking one up takes as long for a wrong one as for a right one, and memory holds none that
   * could be used.
   */
  readonly #tunnels = new Map<string, Parkable>();
  readonly #tickets = new Map<Parkable, readonly string[]>();
  /** Since when, in epoch ms, in the order of their coming. */
  readonly #parked = new Map<Parkable, number>();

  constructor(limits: ParkingLimits, ports: { readonly clock: Clock; readonly random: Random }) {
    this.#limits = limits;
    this.#clock = ports.clock;
    this.#random = ports.random;
  }

  get size(): number {
    return this.#parked.size;
  }

  /** The ticket for a tunnel's next HELLO. `used` still works until `confirm`: the answer that carries the new one may get lost. */
  issue(tunnel: Parkable, used?: Secret): NonNullable<HelloMap["ticket"]> {
    const value = Buffer.from(this.#random.bytes(ticketBytes)).toString("base64url");
    this.#keep(tunnel, [hash(value), ...(used === undefined ? [] : [hash(used.reveal())])]);
    return { value: new Secret(value), parkedMs: this.#limits.parkedMs };
  }

  /** The agent has the newest ticket: the one before it is used up. */
  confirm(tunnel: Parkable): void {
    const tickets = this.#tickets.get(tunnel);
    if (tickets !== undefined && tickets.length > 1) {
      this.#keep(tunnel, tickets.slice(0, 1));
    }
  }

  /** Hands the WebSocket to the tunnel that the ticket stands for, or says why not. */
  resume(arrival: Arrival, caller: Caller): TicketRefusal | undefined {
    const tunnel = this.#tunnels.get(hash(arrival.ticket.reveal()));
    if (tunnel === undefined) {
      return "unknown";
    }
    // SECURITY: a stolen ticket is of no use without the key of the device that the tunnel was made from (RFC 9449).
    const { personId, deviceId } = tunnel.caller;
    if (caller.personId !== personId || caller.deviceId !== deviceId) {
      return "another device's";
    }
    this.#parked.delete(tunnel);
    tunnel.attach(arrival, caller);
    return undefined;
  }

  /** A tunnel has lost its WebSocket. Where too many wait, those that have waited longest end. */
  park(tunnel: Parkable): void {
    this.#parked.set(tunnel, this.#clock.now());
    const { maxOfPerson, maxTunnels, maxBytes } = this.#limits;
    const { personId } = tunnel.caller;
    this.#endOldest(maxOfPerson, (other) => other.caller.personId === personId);
    this.#endOldest(maxTunnels, () => true);
    while (this.#parked.size > 0 && this.#bytes() > maxBytes) {
      this.#endOldest(this.#parked.size - 1, () => true);
    }
  }

  /** The tunnel is over. */
  forget(tunnel: Parkable): void {
    this.#keep(tunnel, []);
    this.#tickets.delete(tunnel);
    this.#parked.delete(tunnel);
  }

  /** Ends what has waited long enough. */
  tick(): void {
    const now = this.#clock.now();
    for (const [tunnel, since] of this.#parked) {
      if (now - since >= this.#limits.parkedMs) {
        tunnel.close(notBack());
      } else if (now - since >= this.#limits.busyMs) {
        endBusy(tunnel);
      }
    }
  }

  #bytes(): number {
    return [...this.#parked.keys()].reduce((sum, { bufferedBytes }) => sum + bufferedBytes, 0);
  }

  #endOldest(most: number, isMeant: (tunnel: Parkable) => boolean): void {
    const meant = [...this.#parked.keys()].filter(isMeant);
    for (const tunnel of meant.slice(0, Math.max(0, meant.length - most))) {
      tunnel.close(new JitdbError("limit.reached", "Too many lost tunnels wait for their agents."));
    }
  }

  #keep(tunnel: Parkable, tickets: readonly string[]): void {
    for (const ticket of this.#tickets.get(tunnel) ?? []) {
      this.#tunnels.delete(ticket);
    }
    for (const ticket of tickets) {
      this.#tunnels.set(ticket, tunnel);
    }
    this.#tickets.set(tunnel, tickets);
  }
}

function endBusy(tunnel: Parkable): void {
  for (const stream of [...tunnel.streams]) {
    if (stream.isBusy) {
      stream.gone("tunnel_lost");
      stream.reset(notBack());
    }
  }
}

function notBack(): JitdbError {
  return new JitdbError("tunnel.lost", "The agent did not come back in time.");
}

function hash(ticket: string): string {
  return createHash("sha256").update(ticket).digest("base64");
}
