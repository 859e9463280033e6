// Sessions of ephemeral users. They outlive the role, so they are found by its number.

import { setTimeout as delay } from "node:timers/promises";
import type {
  BackendRef,
  Obstacle,
  TerminateResult,
  UserRef,
} from "../../../credentials/executor.ts";
import { userNamePattern } from "../../../credentials/names.ts";
import type { AdminConnection, AdminQueries, Row } from "../admin-connection.ts";
import { findRole } from "./roles.ts";

/** Milliseconds. */
const terminateLimits = {
  /** How long a terminated session may take to end; longer is an obstacle, and the step is tried again. */
  deadlineMs: 1000,
  pollMs: 10,
} as const;

/** The number of a user's role: that of the ledger, else that of the role which bears its name. */
export async function findOid(queries: AdminQueries, user: UserRef): Promise<number | undefined> {
  return user.oid ?? (await findRole(queries, user))?.oid;
}

/** Ends every session of the user and waits until they are gone. */
export async function terminateSessions(
  connection: AdminConnection,
  database: string,
  user: UserRef,
): Promise<TerminateResult> {
  const oid = await findOid(connection, user);
  if (oid === undefined) {
    return { did: [], obstacles: [], terminated: 0 };
  }
  const seen = new Set<number>();
  // Each look is a transaction of its own: pg_stat_activity stands still within one.
  for (let waitedMs = 0; ; waitedMs += terminateLimits.pollMs) {
    const pids = await terminateOnce(connection, oid);
    for (const pid of pids) {
      seen.add(pid);
    }
    if (pids.length === 0 || waitedMs > terminateLimits.deadlineMs) {
      const did = seen.size === 0 ? [] : [`terminated ${seen.size} sessions`];
      const obstacles = pids.map((pid) => stubbornSession(database, user.name, pid));
      return { did, obstacles, terminated: seen.size };
    }
    await delay(terminateLimits.pollMs);
  }
}

async function terminateOnce(connection: AdminConnection, oid: number): Promise<number[]> {
  const rows = await connection.query<{ pid: number }>(
    `SELECT pid, pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
       WHERE usesysid = $1::int8::oid AND pid <> pg_catalog.pg_backend_pid()`,
    [oid],
  );
  return rows.map(({ pid }) => pid);
}

function stubbornSession(database: string, user: string, pid: number): Obstacle {
  return {
    message: `The session ${pid} of ${user} does not end.`,
    remedy: { database, statements: [`SELECT pg_catalog.pg_terminate_backend(${pid})`] },
  };
}

interface BackendRow extends Row {
  readonly pid: number;
  readonly started_at: string;
  readonly user_name: string;
  readonly client_address: string | null;
}

const startedAt = `pg_catalog.to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
const backendColumns = `a.pid, ${startedAt} AS started_at, a.usename AS user_name,
  pg_catalog.host(a.client_addr) AS client_address`;

/**
 * Live sessions of all users whose names are the installation's. Workers of a parallel query have process ids of their own
 * and no client: they are their leader's, and end with it.
 */
export async function listBackends(
  connection: AdminConnection,
  installation: string,
): Promise<readonly BackendRef[]> {
  const rows = await connection.query<BackendRow>(
    `SELECT ${backendColumns} FROM pg_catalog.pg_stat_activity a
       WHERE a.usename::text COLLATE pg_catalog."C" ~ $1 AND a.leader_pid IS NULL`,
    [userNamePattern(installation)],
  );
  return rows.map(toBackend);
}

/** Ends sessions that are still what they were when they were listed: a process number alone may be somebody else's by now. */
export async function terminateBackends(
  connection: AdminConnection,
  backends: readonly BackendRef[],
): Promise<readonly BackendRef[]> {
  // In the result list: in a condition it might run before the join, on everybody.
  const rows = await connection.query<BackendRow & { ended: boolean }>(
    `SELECT ${backendColumns}, pg_catalog.pg_terminate_backend(a.pid) AS ended
       FROM pg_catalog.pg_stat_activity a
       JOIN ROWS FROM (pg_catalog.unnest($1::int4[]), pg_catalog.unnest($2::text[])) AS w (pid, started_at)
         ON a.pid = w.pid AND ${startedAt} = w.started_at`,
    [backends.map(({ pid }) => pid), backends.map((backend) => backend.startedAt)],
  );
  return rows.filter(({ ended }) => ended).map(toBackend);
}

function toBackend(row: BackendRow): BackendRef {
  return {
    pid: row.pid,
    startedAt: row.started_at,
    user: row.user_name,
    clientAddress: row.client_address,
  };
}
