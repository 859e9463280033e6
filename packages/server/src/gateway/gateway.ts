// The gateway: every tunnel and every live session of this server, and how they are ended.

import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import type { Clock, DeviceId, GrantId, PersonId, Random } from "@jitdb/shared/ids";
import { RecycledMemory } from "@jitdb/shared/tunnel/recycled-memory";
import type { Logger } from "pino";
import { databasesInReach } from "../access/grants/running.ts";
import type { Journal } from "../audit/journal.ts";
import type { SessionEnd } from "../audit/record.ts";
import type { Masker } from "../audit/statements/masker.ts";
import type { Bus } from "../bus.ts";
import type { Config } from "../config/config.ts";
import type { Engine } from "../engines/engine.ts";
import type { FastWebSocket } from "../http/websockets/fast-websocket.ts";
import type { Authenticator } from "../identity/authenticator.ts";
import type { Caller } from "../identity/caller.ts";
import type { Outbox } from "../outbox/outbox.ts";
import type { Store } from "../store/store.ts";
import { type GatewayLimits, gatewayLimits } from "./limits.ts";
import { Canceller } from "./sessions/cancel.ts";
import { type LiveSession, LiveSessions, type SessionPlace } from "./sessions/live-sessions.ts";
import { type GrantUser, SessionOpener } from "./sessions/open-session.ts";
import { Readiness } from "./sessions/readiness.ts";
import { SessionRows } from "./sessions/session-rows.ts";
import { SpareSessions } from "./sessions/spare-sessions.ts";
import { ExpiryNotices } from "./tunnels/expiry-notices.ts";
import { Parking } from "./tunnels/parking.ts";
import { Tunnel, type TunnelPorts } from "./tunnels/tunnel.ts";
import { Turn } from "./turn.ts";

export interface GatewayPorts {
  readonly config: Pick<Config, "databases" | "publicUrl">;
  readonly engines: readonly Pick<Engine, "name" | "createSessions">[];
  readonly store: Store;
  readonly journal: Journal;
  readonly masker: Masker;
  /** As the ports of a session have it. */
  readonly maxTextBytes?: number;
  readonly authenticator: Authenticator;
  readonly credentials: {
    userFor(grantId: GrantId): Promise<GrantUser>;
    /** Gives the user another password than this one, unless it has one by now. */
    renewPassword(grantId: GrantId, user: Pick<GrantUser, "generation">): Promise<void>;
  };
  readonly bus: Pick<Bus, "emit">;
  /** Absent: nobody outside hears of sessions. */
  readonly outbox?: Pick<Outbox, "wants" | "add">;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

export class Gateway {
  readonly #ports: GatewayPorts;
  readonly #limits: GatewayLimits;
  readonly #live: LiveSessions;
  readonly #tunnels = new Set<Tunnel>();
  readonly #parking: Parking;
  readonly #rows: SessionRows;
  readonly #spares: SpareSessions;
  readonly #notices: ExpiryNotices;
  readonly #readiness: Readiness;
  readonly #tunnelPorts: TunnelPorts;
  #ticks: NodeJS.Timeout | undefined;
  /** Why nothing is accepted any more. */
  #stopping: JitdbError | undefined;

  constructor(ports: GatewayPorts, limits: GatewayLimits = gatewayLimits) {
    this.#ports = ports;
    this.#limits = limits;
    this.#live = new LiveSessions(limits.ownedAfterMs);
    this.#rows = new SessionRows(ports);
    this.#spares = new SpareSessions({ ...ports, live: this.#live });
    this.#notices = new ExpiryNotices({ ...ports, live: this.#live, tunnels: this.#tunnels });
    this.#parking = new Parking(limits.parking, ports);
    const turn = new Turn(ports.journal);
    const engines = new Map(
      ports.engines.map((engine) => [engine.name, engine.createSessions({ ...ports, turn })]),
    );
    const opener = new SessionOpener({
      ...ports,
      engines,
      limits,
      live: this.#live,
      rows: this.#rows,
      spares: this.#spares,
    });
    this.#readiness = new Readiness({
      databases: ports.config.databases,
      engines,
      connections: (name) => this.#spares.connectionsOf(name),
      people: () => this.#people(),
      inReach: (people) => databasesInReach(ports.store, ports.clock.now(), people),
      log: ports.log,
    });
    const canceller = new Canceller({ ...ports, live: this.#live }, opener);
    this.#tunnelPorts = {
      ...ports,
      url: `${ports.config.publicUrl}/api/v1/tunnel`,
      turn,
      memory: new RecycledMemory(),
      parking: this.#parking,
      limits,
      openSession: (stream, open, caller) => opener.open(stream, open, caller),
      cancel: (stream, open, caller) => canceller.cancel(stream, open, caller),
    };
  }

  /** Closes the rows of sessions that a crash left open, as `server_stopped`. Gives their number. Call it before `accept`. */
  async reconcile(): Promise<number> {
    return await this.#rows.reconcile();
  }

  /** Takes over an upgraded WebSocket, which carries one tunnel of the caller: a new one, or one that lost its last WebSocket. */
  accept(ws: FastWebSocket, caller: Caller): void {
    this.#ticks ??= setInterval(() => this.#tick(), this.#limits.tickMs).unref();
    const tunnel = new Tunnel(ws, caller, this.#tunnelPorts);
    this.#tunnels.add(tunnel);
    void tunnel.gone.then(() => this.#tunnels.delete(tunnel));
    if (this.#stopping !== undefined) {
      tunnel.close(this.#stopping);
      return;
    }
    void this.#readiness.look();
  }

  /**
   * Ends the sessions of a grant, also those that are about to open, and tells its person's agents. Call it when the store
   * says that the grant has ended; resolves when the connections to the database are gone, but for those of a soft end that
   * finish a transaction. Gives the number of the others. The clients read `error`, the agents its message.
   */
  async endGrant(
    grantId: GrantId,
    end: Extract<SessionEnd, "expired" | "revoked">,
    error: JitdbError,
  ): Promise<number> {
    const isDraining = end === "expired" && this.isDraining(grantId);
    const places = this.#live.ofGrant(grantId).filter((place) => !place.isDraining);
    const spares = this.#spares.end((spare) => spare.grantId === grantId);
    const count = await endAll(places, end, error);
    await spares;
    const more = isDraining ? " Transactions that run may finish." : "";
    await this.#announceEnd(grantId, end, error.message + more);
    return count;
  }

  /** Whether sessions of a grant whose time is over finish their transactions. Ends those that do not. */
  isDraining(grantId: GrantId): boolean {
    const places = this.#live.ofGrant(grantId);
    for (const place of places) {
      place.expire(this.#ports.clock.now());
    }
    return places.some((place) => place.isDraining);
  }

  /** A grant has changed, and not ended: it may have more time. The store is asked. */
  async followGrants(): Promise<void> {
    await this.#notices.refresh();
  }

  /** Ends the tunnels of a disabled person and all sessions in them. Gives the number of sessions. */
  async endPerson(personId: PersonId, reason: string): Promise<number> {
    const error = new JitdbError("login.disabled", reason);
    return await this.#endCallers((caller) => caller.personId === personId, error);
  }

  /** The same for a device whose login was revoked. */
  async endDevice(deviceId: DeviceId, reason: string): Promise<number> {
    const error = new JitdbError("login.expired", reason);
    return await this.#endCallers((caller) => caller.deviceId === deviceId, error);
  }

  /** All that are open. */
  sessions(): LiveSession[] {
    return this.#live.all().flatMap(({ live }) => live ?? []);
  }

  /** Resolves when the store has all sessions as they are now: their rows are written a moment later, many at once. */
  async rowsWritten(): Promise<void> {
    await this.#rows.drain();
  }

  /** Ids of the sessions whose agents have lost the network and may come back. */
  parkedSessions(): ReadonlySet<string> {
    const parked = [...this.#tunnels].filter((tunnel) => tunnel.isParked);
    return new Set(
      parked.flatMap(({ streams }) => [...streams].flatMap(({ sessionId }) => sessionId ?? [])),
    );
  }

  /**
   * Process ids of a database's backends that are ours. To tell strangers from them: list the database's backends first,
   * then await `loginsSettled`, then ask here. A backend that was on the list belongs to a login that had begun by then,
   * so by now its number is known: the database tells it at the end of the login only.
   */
  ownedBackends(databaseName: string): number[] {
    return [...this.#live.ownedBackends(databaseName), ...this.#spares.backendsOf(databaseName)];
  }

  /** Resolves when every login that is under way now has ended one way or the other, which has a deadline. Never rejects. */
  async loginsSettled(databaseName: string): Promise<void> {
    const logins = this.#live.ofDatabase(databaseName).map(({ login }) => login);
    await Promise.allSettled([...logins, ...this.#spares.loginsOf(databaseName)]);
  }

  /** Ends everything with a word to everybody; resolves when all is closed and on record. */
  async close(reason: string): Promise<void> {
    const error = new JitdbError("tunnel.going_away", "The server is stopping.", {
      hint: "Connect again in a moment; jitdb finds a server that is back by itself.",
      detail: reason,
    });
    this.#stopping = error;
    clearInterval(this.#ticks);
    this.#readiness.close();
    const sessions = endAll(this.#live.all(), "server_stopped", error);
    const tunnels = [...this.#tunnels];
    for (const tunnel of tunnels) {
      tunnel.close(error);
    }
    await sessions;
    await this.#spares.end(() => true);
    await Promise.all(tunnels.map(({ gone }) => gone));
    await this.#rows.drain();
  }

  #connected(): Tunnel[] {
    return [...this.#tunnels].filter((tunnel) => !tunnel.isParked);
  }

  /** Whose agents are connected. */
  #people(): ReadonlySet<PersonId> {
    return new Set(this.#connected().map(({ caller }) => caller.personId));
  }

  async #endCallers(
    isMeant: (caller: Pick<Caller, "personId" | "deviceId">) => boolean,
    error: JitdbError,
  ): Promise<number> {
    const places = this.#live.all().filter(({ caller }) => isMeant(caller));
    const ended = endAll(places, "person_disabled", error);
    const spares = this.#spares.end(({ personId, deviceId }) => isMeant({ personId, deviceId }));
    for (const tunnel of this.#tunnels) {
      if (isMeant(tunnel.caller)) {
        tunnel.close(error);
      }
    }
    await spares;
    return await ended;
  }

  async #announceEnd(grantId: GrantId, kind: "expired" | "revoked", message: string) {
    const grant = await this.#ports.store.db
      .selectFrom("grants")
      .select(["person_id", "ends_at", "ended_at"])
      .where("id", "=", grantId)
      .executeTakeFirst();
    if (grant !== undefined) {
      const expiresAt = new Date(grant.ended_at ?? grant.ends_at).toISOString();
      this.#notices.send(grant.person_id, { kind, grant: grantId, expiresAt, message });
    }
  }

  #tick(): void {
    try {
      this.#live.expire(this.#ports.clock.now());
      for (const tunnel of this.#tunnels) {
        tunnel.checkToken();
      }
      this.#parking.tick();
      this.#notices.tick();
      this.#readiness.tick();
      this.#spares.tick(this.#people());
    } catch (error) {
      this.#ports.log.error({ err: toJitdbError(error) }, "a look for ended grants failed");
    }
  }
}

async function endAll(
  places: readonly SessionPlace[],
  end: SessionEnd,
  error: JitdbError,
): Promise<number> {
  for (const place of places) {
    place.end(end, error);
  }
  await Promise.all(places.map((place) => place.gone()));
  return places.filter(({ live }) => live !== undefined).length;
}
