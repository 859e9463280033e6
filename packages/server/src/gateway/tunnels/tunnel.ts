// One tunnel of one person's device: what its agent may ask for, how often, and until when. May change its WebSocket, never its owner.

import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import { type Clock, type Random, randomBase32 } from "@jitdb/shared/ids";
import type { AuthMap, HelloMap, NoticeMap, OpenMap } from "@jitdb/shared/tunnel/maps";
import type { RecycledMemory } from "@jitdb/shared/tunnel/recycled-memory";
import type { Logger } from "pino";
import type { Journal } from "../../audit/journal.ts";
import type { AuditEvent } from "../../audit/record.ts";
import type { FastWebSocket } from "../../http/websockets/fast-websocket.ts";
import type { Authenticator } from "../../identity/authenticator.ts";
import type { Caller } from "../../identity/caller.ts";
import { RateLimit } from "../../rate-limit.ts";
import type { GatewayLimits } from "../limits.ts";
import type { Turn } from "../turn.ts";
import type { Parkable, Parking } from "./parking.ts";
import type { StreamEnd } from "./stream-end.ts";
import { type Arrival, TunnelEnd, type TunnelOwner } from "./tunnel-end.ts";

export interface TunnelPorts {
  readonly authenticator: Authenticator;
  /** What a proof in an AUTH frame is made for: the tunnel's full public URL. */
  readonly url: string;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly turn: Turn;
  readonly memory: RecycledMemory;
  readonly limits: GatewayLimits;
  readonly parking: Parking;
  /** Whoever opens sessions; never rejects. */
  readonly openSession: (stream: StreamEnd, open: OpenMap, caller: Caller) => Promise<void>;
  readonly cancel: (stream: StreamEnd, open: OpenMap, caller: Caller) => Promise<void>;
}

export class Tunnel implements TunnelOwner, Parkable {
  /** Resolves when the tunnel is over. */
  readonly gone: Promise<void>;
  #leave: () => void = () => undefined;
  readonly #id: string;
  readonly #ports: TunnelPorts;
  readonly #end: TunnelEnd;
  readonly #opens: RateLimit;
  readonly #cancels: RateLimit;
  readonly #auths: RateLimit;
  #caller: Caller;
  #isOpened = false;
  /** When the last WebSocket was lost; undefined while one is there. */
  #parkedAt: number | undefined;
  #isAuthenticating = false;

  constructor(ws: FastWebSocket, caller: Caller, ports: TunnelPorts) {
    const { clock, limits, random } = ports;
    this.#id = `tun_${randomBase32(random, 12)}`;
    this.#ports = ports;
    this.#caller = caller;
    this.#opens = new RateLimit(limits.opens, clock);
    this.#cancels = new RateLimit(limits.cancels, clock);
    this.#auths = new RateLimit(limits.auths, clock);
    this.gone = new Promise((resolve) => {
      this.#leave = resolve;
    });
    this.#end = new TunnelEnd(ws, ports.parking.issue(this), ports, limits.tunnel, this);
  }

  get caller(): Caller {
    return this.#caller;
  }

  get isParked(): boolean {
    return this.#end.isParked;
  }

  get bufferedBytes(): number {
    return this.#end.bufferedBytes;
  }

  get streams(): Iterable<StreamEnd> {
    return this.#end.streams;
  }

  /** Goes on with another WebSocket of the same person's same device, whose login is the newer one. */
  attach(arrival: Arrival, caller: Caller): void {
    this.#caller = caller;
    this.#end.attach(arrival, this.#ports.parking.issue(this, arrival.ticket));
  }

  notice(notice: NoticeMap): void {
    this.#end.notice(notice);
  }

  close(error: JitdbError): void {
    this.#end.close(error);
  }

  /**
   * Ends the tunnel whose token is over: its agent had all the time to send a new one. One that is parked does nothing, and comes back
   * with a new token or not at all.
   */
  checkToken(): boolean {
    const isGood = this.isParked || this.#ports.clock.now() < this.#caller.tokenExpiresAt;
    if (!isGood) {
      this.close(new JitdbError("login.expired", "The login has expired."));
    }
    return isGood;
  }

  hello({ software }: HelloMap): void {
    // The one of another WebSocket says nothing new.
    if (!this.#isOpened) {
      this.#isOpened = true;
      this.#record({ kind: "tunnel.opened", tunnel: this.#id, software, ...this.#subject });
    }
  }

  handOver(arrival: Arrival): boolean {
    const refusal = this.#ports.parking.resume(arrival, this.#caller);
    if (refusal === undefined) {
      this.#ports.parking.forget(this);
      this.#leave();
      return true;
    }
    const reason = `its ticket is ${refusal}`;
    this.#record({ kind: "tunnel.resume_refused", tunnel: this.#id, reason, ...this.#subject });
    return false;
  }

  parked(reason: string): void {
    const { clock, parking } = this.#ports;
    this.#parkedAt = clock.now();
    const sessions = [...this.streams].length;
    this.#record({ kind: "tunnel.parked", tunnel: this.#id, reason, sessions, ...this.#subject });
    parking.park(this);
  }

  resumed(lost: number): void {
    const now = this.#ports.clock.now();
    const awayMs = Math.max(0, now - (this.#parkedAt ?? now));
    this.#parkedAt = undefined;
    this.#record({ kind: "tunnel.resumed", tunnel: this.#id, awayMs, lost, ...this.#subject });
  }

  confirmed(): void {
    this.#ports.parking.confirm(this);
  }

  open(stream: StreamEnd, open: OpenMap): void {
    if (!this.checkToken()) {
      return;
    }
    const { openSession, cancel } = this.#ports;
    const [limit, serve] =
      open.kind === "session" ? [this.#opens, openSession] : [this.#cancels, cancel];
    if (!limit.take()) {
      const why = `This tunnel has asked for too many of kind ${open.kind}.`;
      stream.reset(new JitdbError("limit.reached", why));
      return;
    }
    void serve(stream, open, this.#caller);
  }

  auth(auth: AuthMap): void {
    if (this.#isAuthenticating || !this.#auths.take()) {
      this.close(new JitdbError("login.rate_limited", "AUTH came too often."));
      return;
    }
    this.#isAuthenticating = true;
    void this.#authenticate(auth);
  }

  closed(reason: string): void {
    this.#ports.parking.forget(this);
    this.#leave();
    this.#record({ kind: "tunnel.closed", tunnel: this.#id, reason, ...this.#subject });
    const { roundTripMs } = this.#end;
    this.#ports.log.info({ tunnel: this.#id, reason, roundTripMs }, "tunnel closed");
  }

  async #authenticate({ accessToken, proof }: AuthMap): Promise<void> {
    const { authenticator, url } = this.#ports;
    const { personId, deviceId, address } = this.#caller;
    try {
      const caller = await authenticator.authenticate({
        method: "GET",
        url,
        authorization: `DPoP ${accessToken.reveal()}`,
        proof,
        address,
      });
      // SECURITY: a tunnel never changes hands: its sessions and their records are one person's on one device.
      if (caller.personId !== personId || caller.deviceId !== deviceId) {
        throw new JitdbError("login.proof", "The new login is not that of this tunnel.");
      }
      this.#caller = caller;
    } catch (error) {
      this.close(toJitdbError(error));
    } finally {
      this.#isAuthenticating = false;
    }
  }

  get #subject() {
    const { name, deviceId, address } = this.#caller;
    return { person: name, device: deviceId, address };
  }

  #record(event: AuditEvent): void {
    try {
      this.#ports.journal.record(event);
    } catch (error) {
      // No statement passes while the journal fails; a tunnel by itself does nothing.
      this.#ports.log.error({ err: error, tunnel: this.#id }, `${event.kind} is not on record yet`);
    }
  }
}
