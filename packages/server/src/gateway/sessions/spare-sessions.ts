// Spare sessions: for each grant with an agent connected a login more than it has clients, two where they come faster than one is made,
// so that the next client with the same start-up finds its session there, and is greeted by its agent before we have heard of it, if the agent
// was told. Only the login is made ahead: whether anybody may have it is asked anew (open-session.ts).

import { setTimeout as delay } from "node:timers/promises";
import type { Clock, DeviceId, GrantId, PersonId } from "@jitdb/shared/ids";
import type { SpareMap } from "@jitdb/shared/tunnel/maps";
import type { DatabaseConfig } from "../../config/config.ts";
import type { Deadline, LoginRequest, Sessions, SpareLogin } from "../../engines/engine.ts";
import type { Announcements } from "../tunnels/announcements.ts";
import type { LiveSessions } from "./live-sessions.ts";

export const spareTimes = {
  /** A client that comes later logs in anew: an idle session costs the database memory. */
  oldestMs: 60_000,
  /** So long a login waits for the client that has just come: the database and we would do its work beside the answer that is waited for. */
  restMs: 4,
} as const;

/** What the next client of a grant is expected to ask for. */
export interface Expectation {
  readonly grantId: GrantId;
  readonly personId: PersonId;
  readonly deviceId: DeviceId;
  readonly database: DatabaseConfig;
  readonly user: LoginRequest["user"];
  /** Of the user's password. */
  readonly generation: number;
  readonly startup: Uint8Array;
  /** Of the agent that it is expected to come from. */
  readonly announcements: Pick<Announcements, "announce" | "withdraw">;
  readonly deadline: Pick<Deadline, "endsAt">;
}

/** What a spare session is found by. */
interface Wanted
  extends Pick<Expectation, "grantId" | "user" | "generation" | "startup" | "announcements"> {
  /** The one that the client was greeted with. */
  readonly claimed?: SpareMap | undefined;
}

export interface SpareSessionsPorts {
  readonly live: Pick<LiveSessions, "ofDatabase" | "linger">;
  readonly clock: Clock;
}

class Spare {
  readonly expected: Expectation;
  readonly madeAt: number;
  /** Never rejects. Undefined: it could not be made. A client that wants to know why logs in itself. */
  readonly login: Promise<SpareLogin | undefined>;
  readonly #resting = new AbortController();
  readonly #closing = new AbortController();
  #ready: SpareLogin | undefined;
  #announced: SpareMap | undefined;

  constructor(expected: Expectation, sessions: Pick<Sessions, "logInAhead">, madeAt: number) {
    this.expected = expected;
    this.madeAt = madeAt;
    this.login = this.#make(sessions);
  }

  get backendPid(): number | undefined {
    return this.#ready?.backendPid;
  }

  get announced(): SpareMap | undefined {
    return this.#announced;
  }

  announce({ greeting }: SpareLogin): void {
    const { announcements, grantId, startup, database } = this.expected;
    const grant = grantId;
    const { engine } = database;
    this.#announced = announcements.announce({ engine, grant, startup, greeting });
  }

  /** From now on nobody is greeted with it. */
  withdraw(): void {
    if (this.#announced !== undefined) {
      this.expected.announcements.withdraw(this.#announced);
      this.#announced = undefined;
    }
  }

  fits({ grantId, user, generation, startup }: Wanted): boolean {
    const own = this.expected;
    return (
      own.grantId === grantId &&
      own.user.name === user.name &&
      own.generation === generation &&
      Buffer.compare(own.startup, startup) === 0
    );
  }

  get isClosing(): boolean {
    return this.#closing.signal.aborted;
  }

  /** Somebody waits for it now. */
  hurry(): void {
    this.#resting.abort();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.hurry();
    const login = await this.login;
    login?.close();
    await login?.closed;
  }

  async #make(sessions: Pick<Sessions, "logInAhead">): Promise<SpareLogin | undefined> {
    const { database, user, startup } = this.expected;
    const { signal } = this.#closing;
    try {
      await rest(this.#resting.signal);
      signal.throwIfAborted();
      this.#ready = await sessions.logInAhead({ database, user, startup, signal });
      return this.#ready;
    } catch {
      return undefined;
    }
  }
}

export class SpareSessions {
  readonly #ports: SpareSessionsPorts;
  readonly #spares = new Set<Spare>();
  /** Grants whose clients come before the spare one is there. */
  readonly #hurried = new Set<GrantId>();

  constructor(ports: SpareSessionsPorts) {
    this.#ports = ports;
  }

  /** Makes what the next client like this one needs, as far as the database's limit of connections has room for it. */
  prepare(expected: Expectation, sessions: Pick<Sessions, "logInAhead">): void {
    const { grantId, database } = expected;
    if (database.spareSessions === false) {
      return;
    }
    void this.#closeAll((spare) => spare.expected.grantId === grantId && !spare.fits(expected));
    const present = [...this.#spares].filter((spare) => spare.fits(expected)).length;
    const most = database.maxConnections ?? Number.POSITIVE_INFINITY;
    for (let count = present; count < (this.#hurried.has(grantId) ? 2 : 1); count += 1) {
      if (this.connectionsOf(database.name) < most) {
        const spare = new Spare(expected, sessions, this.#ports.clock.now());
        this.#spares.add(spare);
        void this.#follow(spare);
      }
    }
  }

  /**
   * The spare login that fits, for one `open` of the grant: the one that its client was greeted with, else one that nobody is, if there is a
   * choice. Undefined: there is none.
   * SECURITY: whether the caller may use the grant was asked before.
   */
  async take(wanted: Wanted): Promise<SpareLogin | undefined> {
    const fitting = [...this.#spares].filter((spare) => spare.fits(wanted));
    const ready = fitting.filter(({ backendPid }) => backendPid !== undefined);
    const spare =
      ready.find(({ announced }) => announced !== undefined && announced === wanted.claimed) ??
      ready.find(({ announced }) => announced === undefined) ??
      ready[0] ??
      fitting[0];
    if (spare === undefined) {
      return undefined;
    }
    this.#spares.delete(spare);
    if (spare.backendPid === undefined || isLate(spare, wanted)) {
      this.#hurried.add(wanted.grantId);
    }
    if (spare.announced !== wanted.claimed) {
      spare.withdraw();
    }
    spare.hurry();
    const login = await spare.login;
    this.#linger(spare);
    return login;
  }

  /** Ends those that stand in the way of a session that was let in: a client that is there comes first. */
  async makeRoom(
    { name, maxConnections }: Pick<DatabaseConfig, "name" | "maxConnections">,
    wanted: Wanted,
  ): Promise<void> {
    const isOver = this.connectionsOf(name) > (maxConnections ?? Number.POSITIVE_INFINITY);
    if (isOver) {
      await this.#closeAll((spare) => spare.expected.database.name === name && !spare.fits(wanted));
    }
  }

  /** Ends those that the condition holds for; resolves when their connections are gone. */
  async end(isMeant: (expected: Expectation) => boolean): Promise<void> {
    await this.#closeAll(({ expected }) => isMeant(expected));
  }

  /** To be called now and then: ends those whose time is over, and those of people without an agent. */
  tick(people: ReadonlySet<PersonId>): void {
    const now = this.#ports.clock.now();
    void this.#closeAll(
      ({ madeAt, expected: { deadline, personId } }) =>
        now - madeAt >= spareTimes.oldestMs || now >= deadline.endsAt || !people.has(personId),
    );
  }

  /** Sessions of a database, and those that are spare. */
  connectionsOf(databaseName: string): number {
    return this.#ports.live.ofDatabase(databaseName).length + this.countOf(databaseName);
  }

  countOf(databaseName: string): number {
    return this.#ofDatabase(databaseName).length;
  }

  /** Process ids, of those that are logged in. */
  backendsOf(databaseName: string): number[] {
    return this.#ofDatabase(databaseName).flatMap(({ backendPid }) => backendPid ?? []);
  }

  /** Logins that may be under way; they never reject. */
  loginsOf(databaseName: string): Promise<unknown>[] {
    return this.#ofDatabase(databaseName).map(({ login }) => login);
  }

  #ofDatabase(databaseName: string): Spare[] {
    return [...this.#spares].filter(({ expected }) => expected.database.name === databaseName);
  }

  /** Lets the agent know of one that is there, and forgets one that was lost. */
  async #follow(spare: Spare): Promise<void> {
    const login = await spare.login;
    // Unless somebody could not wait, and has it now, or it is not wanted any more.
    if (login !== undefined && this.#spares.has(spare) && !spare.isClosing) {
      spare.announce(login);
    }
    await login?.closed;
    this.#forget(spare);
  }

  async #closeAll(isMeant: (spare: Spare) => boolean): Promise<void> {
    const meant = [...this.#spares].filter((spare) => isMeant(spare));
    await Promise.all(meant.map((spare) => this.#close(spare)));
  }

  /** It counts until it is gone. */
  async #close(spare: Spare): Promise<void> {
    spare.withdraw();
    await spare.close();
    this.#forget(spare);
  }

  #forget(spare: Spare): void {
    if (this.#spares.delete(spare)) {
      spare.withdraw();
      this.#linger(spare);
      this.#hurried.delete(spare.expected.grantId);
    }
  }

  #linger({ backendPid, expected }: Spare): void {
    if (backendPid !== undefined) {
      this.#ports.live.linger(expected.database.name, backendPid);
    }
  }
}

/** The agent was told, and its client came all the same without having heard of it: the way there takes longer than the client. */
function isLate({ announced, expected }: Spare, { announcements, claimed }: Wanted): boolean {
  return (
    announced !== undefined && announced !== claimed && expected.announcements === announcements
  );
}

async function rest(until: AbortSignal): Promise<void> {
  await delay(spareTimes.restMs, undefined, { ref: false, signal: until }).catch(() => undefined);
}
