// The gateway: every tunnel and every live session of this server, and how they are ended.

import type { Clock, DeviceId, GrantId, PersonId, Random, SessionId } from "@jitdb/shared/ids";
import type { Secret } from "@jitdb/shared/secret";
import type { WebSocket } from "ws";
import type { Journal } from "../audit/journal.ts";
import type { SessionEnd } from "../audit/record.ts";
import type { Config } from "../config/config.ts";
import type { Engine } from "../engines/engine.ts";
import type { Authenticator } from "../identity/authenticator.ts";
import type { Caller } from "../identity/caller.ts";
import type { Logger } from "pino";
import type { Store } from "../store/store.ts";
import type { EphemeralUserState } from "../store/tables.ts";

/** The user of a grant, as the ledger has it at this moment. */
export interface GrantUser {
  readonly state: EphemeralUserState;
  readonly userName: string;
  readonly password: Secret;
  /** Why it is not there yet, if something stands in the way; for the log, never for the client. */
  readonly problem?: string | undefined;
}

export interface GatewayPorts {
  readonly config: Pick<Config, "databases" | "publicUrl">;
  readonly engines: readonly Engine[];
  readonly store: Store;
  readonly journal: Journal;
  readonly authenticator: Authenticator;
  readonly credentials: { userFor(grantId: GrantId): Promise<GrantUser> };
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
}

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

export declare class Gateway {
  constructor(ports: GatewayPorts);
  /** Closes the rows that a crash left open, as `server_stopped`; once, before the first `accept`. Returns how many. */
  reconcile(): Promise<number>;
  /** Takes an upgraded WebSocket over; make its server with {@link webSocketOptions}. */
  accept(ws: WebSocket, caller: Caller): void;
  /** Ends a grant's sessions, also those that are about to open. Resolves when their connections are gone; gives their number. */
  endGrant(
    grantId: GrantId,
    end: Extract<SessionEnd, "expired" | "revoked">,
    reason: string,
  ): Promise<number>;
  /** Ends the tunnels of a person and all sessions in them. */
  endPerson(personId: PersonId, reason: string): Promise<number>;
  endDevice(deviceId: DeviceId, reason: string): Promise<number>;
  sessions(): LiveSession[];
  /** Process ids of a database's sessions. Call `loginsSettled` first: a login under way has no number yet. */
  ownedBackends(databaseName: string): number[];
  /** Resolves when every login that is under way on the database now has ended one way or the other, within its deadline. */
  loginsSettled(databaseName: string): Promise<void>;
  /** Ends everything; nothing is accepted any more. */
  close(reason: string): Promise<void>;
}
