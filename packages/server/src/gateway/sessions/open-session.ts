// One OPEN: from what the agent asks for to a session that relays, or to a refusal. Everything is decided anew (invariant 7).

import { setTimeout as delay } from "node:timers/promises";
import { JitdbError, toJitdbError } from "@jitdb/shared/errors";
import { createSessionId, type GrantId } from "@jitdb/shared/ids";
import type { Secret } from "@jitdb/shared/secret";
import type { OpenMap, SpareMap } from "@jitdb/shared/tunnel/maps";
import { authorizeOpen, type Grant } from "../../access/authorize.ts";
import type { SessionEnd, Subject } from "../../audit/record.ts";
import type { DatabaseConfig } from "../../config/config.ts";
import type {
  Deadline,
  Session,
  SessionRequest,
  SessionSummary,
  Sessions,
  Warning,
} from "../../engines/engine.ts";
import type { Caller } from "../../identity/caller.ts";
import type { EphemeralUserState } from "../../store/tables.ts";
import type { GatewayPorts } from "../gateway.ts";
import type { GatewayLimits } from "../limits.ts";
import type { StreamEnd } from "../tunnels/stream-end.ts";
import { GrantDeadline } from "./grant-deadline.ts";
import { type LiveSession, type LiveSessions, SessionPlace } from "./live-sessions.ts";
import type { SessionRows } from "./session-rows.ts";
import type { Expectation, SpareSessions } from "./spare-sessions.ts";

/** The user of a grant, as the ledger has it at this moment. */
export interface GrantUser {
  readonly state: EphemeralUserState;
  readonly userName: string;
  readonly password: Secret;
  /** Of the password. */
  readonly generation: number;
  /** Why it is not there yet, if something stands in the way; for the log, never for the client. */
  readonly problem?: string | undefined;
  /** Settles when it is proven to be safe once more: nothing of the client's may reach the database before. */
  readonly proven: Promise<void>;
}

export interface OpenerPorts
  extends Pick<
    GatewayPorts,
    "config" | "store" | "journal" | "credentials" | "clock" | "random" | "log"
  > {
  /** By the engine's name. */
  readonly engines: ReadonlyMap<string, Sessions>;
  readonly limits: GatewayLimits;
  readonly live: LiveSessions;
  readonly rows: SessionRows;
  readonly spares: SpareSessions;
}

/** What was found to be allowed. */
interface Admitted {
  readonly grant: Grant;
  readonly database: DatabaseConfig;
  readonly sessions: Sessions;
}

/** A stream that asks for a session. */
interface Asking {
  readonly place: SessionPlace;
  readonly stream: StreamEnd;
  readonly open: OpenMap;
  /** What its client was greeted with. */
  readonly claimed: SpareMap | undefined;
}

export class SessionOpener {
  readonly #ports: OpenerPorts;
  /** What is about to open. */
  readonly #openings = new Map<SessionPlace, Promise<void>>();

  constructor(ports: OpenerPorts) {
    this.#ports = ports;
  }

  /** Never rejects: a refusal goes to the stream and on record. */
  async open(stream: StreamEnd, open: OpenMap, caller: Caller): Promise<void> {
    const { random, live } = this.#ports;
    // Before anything is asked of the store: an end that comes in between finds the place and closes it.
    const place = new SessionPlace(createSessionId(random), open.grant as GrantId, caller);
    live.enter(place);
    const opening = this.#openOrRefuse(place, stream, open);
    this.#openings.set(place, opening);
    await opening;
    this.#openings.delete(place);
  }

  /** Resolves when every session of a grant that is about to open now is open, or refused. */
  async settled(grantId: GrantId): Promise<void> {
    const ofGrant = [...this.#openings].filter(([place]) => place.grantId === grantId);
    await Promise.all(ofGrant.map(([, opening]) => opening));
  }

  /** @throws JitdbError for whatever a caller may not do, as {@link authorizeOpen} */
  async admit(open: OpenMap, caller: Caller): Promise<Admitted> {
    const { store, clock, config, engines } = this.#ports;
    const grant = await authorizeOpen(store, clock, caller, open.grant, open.kind);
    const database = config.databases.get(grant.database_name);
    if (database === undefined) {
      throw new JitdbError(
        "database.unknown",
        `The database ${grant.database_name} is no longer configured.`,
      );
    }
    const sessions = engines.get(open.engine);
    if (sessions === undefined || open.engine !== database.engine) {
      throw new JitdbError(
        "usage.invalid",
        `${database.name} is a database of ${database.engine}, not of ${open.engine}.`,
      );
    }
    return { grant, database, sessions };
  }

  async #openOrRefuse(place: SessionPlace, stream: StreamEnd, open: OpenMap): Promise<void> {
    try {
      await this.#open(place, stream, open);
    } catch (error) {
      this.#refuse(place, stream, error);
      this.#ports.live.leave(place);
    }
  }

  async #open(place: SessionPlace, stream: StreamEnd, open: OpenMap): Promise<void> {
    const { journal, clock, rows } = this.#ports;
    const admitted = await this.admit(open, place.caller);
    const { grant, database } = admitted;
    place.ended.throwIfAborted();
    this.#checkLimits(grant, database);
    const deadline = new GrantDeadline(database.name, grant);
    const breakGlass = grant.break_glass === 1;
    const admission = { databaseName: database.name, breakGlass, deadline };
    place.admit(admission);
    const asking = { place, stream, open, claimed: stream.announcements.claim(open) };
    const logIn = (user: GrantUser) => this.#logIn(asking, admitted, deadline, user);
    const { user, session } = await this.#logInOrRenew(place, database, logIn);
    const event = {
      kind: "session.opened",
      ...subjectOf(place),
      profile: grant.profile,
      user: user.userName,
      backendPid: session.backendPid,
      application: session.application,
      parameters: session.parameters,
      encoding: session.encoding,
    } as const;
    try {
      journal.record(event);
    } catch (error) {
      await leave(session, "audit_unavailable");
      throw error;
    }
    const opened = toLive(place, grant, user, session, clock.now());
    place.open(opened);
    rows.opened(opened, event);
    this.#noteEnd(place, opened, session);
    stream.opened(place.id, session);
    this.#ports.spares.prepare(expectation(asking, database, deadline, user), admitted.sessions);
    if (breakGlass) {
      session.notify(glassWarning(database.name));
    }
  }

  /** A user that gave itself a password has locked the gateway out, so it gets another one, once an OPEN. */
  async #logInOrRenew(
    place: SessionPlace,
    database: DatabaseConfig,
    logIn: (user: GrantUser) => Promise<Session>,
  ): Promise<{ readonly user: GrantUser; readonly session: Session }> {
    const { credentials } = this.#ports;
    const user = await this.#userOf(place, database);
    try {
      return { user, session: await logIn(user) };
    } catch (error) {
      if (!(error instanceof JitdbError && error.code === "database.password")) {
        throw error;
      }
      await credentials.renewPassword(place.grantId, user);
      const renewed = await this.#userOf(place, database);
      return { user: renewed, session: await logIn(renewed) };
    }
  }

  async #logIn(
    asking: Asking,
    { database, sessions }: Admitted,
    deadline: GrantDeadline,
    user: GrantUser,
  ): Promise<Session> {
    const { place, stream, claimed } = asking;
    const wanted = { ...expectation(asking, database, deadline, user), claimed };
    const login = this.#openWithSpare(wanted, sessions, {
      database,
      user: wanted.user,
      startup: wanted.startup,
      greeted: claimed?.greeting,
      subject: subjectOf(place),
      deadline,
      client: stream,
      signal: AbortSignal.any([place.ended, stream.departed]),
    });
    const session = await place.logIn(login);
    try {
      // The database works on both at the same time. SECURITY: the session reads nothing of the client's yet (invariant 32).
      await user.proven;
    } catch (error) {
      await leave(session, "client_closed");
      throw error;
    }
    if (place.ended.aborted || stream.departed.aborted) {
      await leave(session, "client_closed");
      place.ended.throwIfAborted();
      throw departed();
    }
    return session;
  }

  async #openWithSpare(
    wanted: Expectation & Pick<Asking, "claimed">,
    sessions: Sessions,
    request: SessionRequest,
  ): Promise<Session> {
    const { spares } = this.#ports;
    await spares.makeRoom(request.database, wanted);
    return await sessions.open({ ...request, spare: await spares.take(wanted) });
  }

  #checkLimits(grant: Grant, { name, maxConnections }: DatabaseConfig): void {
    const { live, limits } = this.#ports;
    const ofGrant = live.ofGrant(grant.id).filter(({ admission }) => admission !== undefined);
    if (ofGrant.length >= limits.maxSessionsPerGrant) {
      throw new JitdbError("limit.reached", `This grant has ${ofGrant.length} sessions already.`);
    }
    if (maxConnections !== undefined && live.ofDatabase(name).length >= maxConnections) {
      throw new JitdbError(
        "limit.reached",
        `The database ${name} has ${maxConnections} sessions already.`,
      );
    }
  }

  /** A user that is just being made is worth a few seconds: the grant may be a moment old. */
  async #userOf(place: SessionPlace, { name }: DatabaseConfig): Promise<GrantUser> {
    const { credentials, limits, log } = this.#ports;
    for (let retries = 0; ; retries += 1) {
      const user = await credentials.userFor(place.grantId);
      place.ended.throwIfAborted();
      if (user.state === "created") {
        return user;
      }
      if (user.state !== "planned" || retries === limits.userRetries) {
        const { state, problem } = user;
        log.warn({ grant: place.grantId, database: name, state, problem }, "no user to log in as");
        throw notReady(name, user);
      }
      await delay(limits.userRetryMs);
    }
  }

  #refuse(place: SessionPlace, stream: StreamEnd, thrown: unknown): void {
    const { journal, log } = this.#ports;
    const error = stream.departed.aborted ? departed() : toJitdbError(thrown);
    const subject = subjectOf(place);
    const { code, message, detail, cause } = error;
    log[code === "internal" ? "error" : "info"](
      { ...subject, code, detail, err: cause },
      `session refused: ${message}`,
    );
    stream.reset(error);
    try {
      journal.record({ kind: "session.refused", ...subject, code, reason: message });
    } catch (failure) {
      log.error({ err: failure }, "a refused session is not on record");
    }
  }

  /** By itself, so that a session keeps nothing of its opening for as long as it lives. */
  #noteEnd(place: SessionPlace, opened: LiveSession, session: Session): void {
    void session.closed.then((summary) => this.#closed(place, opened, summary));
  }

  #closed(place: SessionPlace, opened: LiveSession, summary: SessionSummary): void {
    const { journal, clock, live, rows, log } = this.#ports;
    live.leave(place);
    const { reason, ...rest } = summary;
    const event = {
      kind: "session.closed",
      ...subjectOf(place),
      ...rest,
      ...(reason === undefined ? {} : { reason }),
      durationMs: clock.now() - opened.openedAt,
    } as const;
    rows.closed(opened, event);
    try {
      journal.record(event);
    } catch (error) {
      log.error({ err: error, session: place.id }, "the end of a session is not on record yet");
    }
  }
}

/** Of a session that was never opened. */
async function leave(session: Session, end: SessionEnd): Promise<void> {
  session.abandon(end);
  await session.closed;
}

function subjectOf({
  id,
  grantId,
  caller,
  admission,
}: SessionPlace): Subject & { readonly session: string } {
  return {
    person: caller.name,
    device: caller.deviceId,
    database: admission?.databaseName,
    grant: grantId,
    session: id,
    address: caller.address,
    // In every record of the session: made once, so that no statement pays for it.
    ...(admission?.breakGlass === true && { breakGlass: true }),
  };
}

/** What the grant's next client is expected to ask for, if it is like this one. */
function expectation(
  { place, stream, open }: Asking,
  database: DatabaseConfig,
  deadline: Deadline,
  { userName, password, generation }: GrantUser,
): Expectation {
  const { grantId } = place;
  const { personId, deviceId } = place.caller;
  const { announcements } = stream;
  const { startup } = open;
  const user = { name: userName, password };
  return {
    ...{ grantId, personId, deviceId, database, user },
    ...{ generation, startup, announcements, deadline },
  };
}

function toLive(
  place: SessionPlace,
  grant: Grant,
  user: GrantUser,
  session: Session,
  openedAt: number,
): LiveSession {
  const { personId, name, deviceId, address } = place.caller;
  return {
    id: place.id,
    grantId: place.grantId,
    personId,
    person: name,
    deviceId,
    databaseName: grant.database_name,
    profile: grant.profile,
    userName: user.userName,
    address,
    application: session.application,
    backendPid: session.backendPid,
    openedAt,
  };
}

function glassWarning(database: string): Warning {
  return {
    message: `Access to ${database} is by break-glass: everything you do is reviewed.`,
    hint: "Somebody else reads its records, and signs. See them with `jitdb audit`.",
  };
}

/** SECURITY: the problem itself may name hosts and roles, so the client gets words of ours (invariant 18). */
function notReady(database: string, { state, problem }: GrantUser): JitdbError {
  if (state !== "planned") {
    return new JitdbError("database.unavailable", `The user of this grant on ${database} is gone.`);
  }
  return problem === undefined
    ? new JitdbError("database.not_ready", `The user for ${database} is still being made.`)
    : new JitdbError(
        "database.unavailable",
        `The user for ${database} could not be made yet: the database is away or refuses it.`,
      );
}

function departed(): JitdbError {
  return new JitdbError("local.interrupted", "The client left before its session was open.");
}
