// Every session that is open or about to be, by grant and by database: what is to be ended is found here.

import type { JitdbError } from "@jitdb/shared/errors";
import type { DeviceId, GrantId, PersonId, SessionId } from "@jitdb/shared/ids";
import type { SessionEnd } from "../../audit/record.ts";
import type { Session } from "../../engines/engine.ts";
import type { Caller } from "../../identity/caller.ts";
import type { GrantDeadline } from "./grant-deadline.ts";

/** A session as lists show it. */
export interface LiveSession {
  readonly id: SessionId;
  readonly grantId: GrantId;
  readonly personId: PersonId;
  readonly person: string;
  readonly deviceId: DeviceId;
  readonly databaseName: string;
  readonly profile: string;
  readonly userName: string;
  readonly address: string;
  readonly application: string;
  readonly backendPid: number;
  /** Epoch ms. */
  readonly openedAt: number;
}

/** What a session that was let in is about; known before its login begins. */
export interface Admission {
  readonly databaseName: string;
  /** Taken by break-glass: its records say so. */
  readonly breakGlass: boolean;
  readonly deadline: GrantDeadline;
}

const never = new AbortController().signal;

/** The place of one session, from the moment that it is asked for. */
export class SessionPlace {
  readonly id: SessionId;
  /** As the agent said it; until the admission it need not be the caller's. */
  readonly grantId: GrantId;
  readonly caller: Caller;
  /** Until the session is open; then it is ended itself. */
  #end: AbortController | undefined = new AbortController();
  #isGone = false;
  /** Made when somebody waits: most sessions come and go alone. */
  #waiting: (() => void)[] | undefined;
  #admission: Admission | undefined;
  #login: Promise<unknown> | undefined;
  #session: Session | undefined;
  #live: LiveSession | undefined;

  constructor(id: SessionId, grantId: GrantId, caller: Caller) {
    this.id = id;
    this.grantId = grantId;
    this.caller = caller;
  }

  /** Aborted, with the reason, when the session was ended before it was open. */
  get ended(): AbortSignal {
    return this.#end?.signal ?? never;
  }

  get admission(): Admission | undefined {
    return this.#admission;
  }

  get login(): Promise<unknown> | undefined {
    return this.#login;
  }

  get session(): Session | undefined {
    return this.#session;
  }

  get isDraining(): boolean {
    return this.#session?.isDraining === true;
  }

  get live(): LiveSession | undefined {
    return this.#live;
  }

  admit(admission: Admission): void {
    this.#admission = admission;
  }

  /** The login of the session, from its first byte on. */
  async logIn(login: Promise<Session>): Promise<Session> {
    this.#login = login;
    this.#session = await login;
    return this.#session;
  }

  open(live: LiveSession): void {
    this.#live = live;
    this.#end = undefined;
    this.#login = undefined;
  }

  end(end: SessionEnd, error: JitdbError): void {
    this.#end?.abort(error);
    this.#session?.end(end, error);
  }

  /** Resolves when nothing of it is left. */
  async gone(): Promise<void> {
    if (!this.#isGone) {
      await new Promise<void>((resolve) => {
        this.#waiting ??= [];
        this.#waiting.push(resolve);
      });
    }
  }

  /** Nothing of it is left. */
  leave(): void {
    this.#isGone = true;
    for (const hear of this.#waiting ?? []) {
      hear();
    }
  }

  /** Ends it if its time is over, but for a transaction that may finish. */
  expire(now: number): void {
    const admission = this.#admission;
    if (admission === undefined || now < admission.deadline.endsAt) {
      return;
    }
    if (this.#session === undefined) {
      this.#end?.abort(admission.deadline.expired());
    } else {
      this.#session.expire();
    }
  }
}

export class LiveSessions {
  readonly #places = new Set<SessionPlace>();
  /** By grant, for what is asked at each OPEN. */
  readonly #byGrant = new Map<GrantId, Set<SessionPlace>>();
  /** Backends of sessions that have just ended. */
  readonly #leaving = new Set<{ readonly databaseName: string; readonly pid: number }>();
  readonly #ownedAfterMs: number;

  constructor(ownedAfterMs: number) {
    this.#ownedAfterMs = ownedAfterMs;
  }

  enter(place: SessionPlace): void {
    this.#places.add(place);
    const ofGrant = this.#byGrant.get(place.grantId) ?? new Set();
    this.#byGrant.set(place.grantId, ofGrant.add(place));
  }

  leave(place: SessionPlace): void {
    this.#places.delete(place);
    const ofGrant = this.#byGrant.get(place.grantId);
    ofGrant?.delete(place);
    if (ofGrant?.size === 0) {
      this.#byGrant.delete(place.grantId);
    }
    const { admission, session } = place;
    if (admission !== undefined && session !== undefined) {
      this.linger(admission.databaseName, session.backendPid);
    }
    place.leave();
  }

  /** Ends those whose time is over, but for transactions that may finish. */
  expire(now: number): void {
    for (const place of this.#places) {
      place.expire(now);
    }
  }

  /** A backend that was ours until now counts as ours for a little longer. */
  linger(databaseName: string, pid: number): void {
    const leaving = { databaseName, pid };
    this.#leaving.add(leaving);
    setTimeout(() => this.#leaving.delete(leaving), this.#ownedAfterMs).unref();
  }

  all(): SessionPlace[] {
    return [...this.#places];
  }

  ofGrant(grantId: GrantId): SessionPlace[] {
    return [...(this.#byGrant.get(grantId) ?? [])];
  }

  /** Those that were let in. */
  ofDatabase(databaseName: string): SessionPlace[] {
    return this.all().filter((place) => place.admission?.databaseName === databaseName);
  }

  ownedBackends(databaseName: string): number[] {
    const live = this.ofDatabase(databaseName).flatMap(({ session }) => session?.backendPid ?? []);
    const leaving = [...this.#leaving].filter((one) => one.databaseName === databaseName);
    return [...live, ...leaving.map(({ pid }) => pid)];
  }
}
