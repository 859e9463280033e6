// Prepared transactions of a user: rolled back as their owner and in their own database, which PostgreSQL wants of everybody
// but superusers. They outlive sessions, and the locks that they hold can keep the role alive.

import type { StepResult, UserRef } from "../../../credentials/executor.ts";
import type { AdminConnection, Row } from "../admin-connection.ts";
import { markerRole, membershipOptionsSince } from "../group-roles.ts";
import { quoteLiteral, quoteName } from "../quote.ts";
import { attempt, joinResults } from "./attempt.ts";
import { serverVersion } from "./roles.ts";

interface PreparedRow extends Row {
  readonly gid: string;
  readonly owner: string;
  readonly database: string;
  /** Of the transaction; text, as it may be more than a number holds. */
  readonly xid: string;
  /** Whether it is the user's for certain. */
  readonly certain: boolean;
}

/** Locks of prepared transactions, which have no process; `xid` is each number that the transaction has, its savepoints' too. */
const locksSql = `
SELECT x.transactionid::text AS xid, l.* FROM pg_catalog.pg_locks x
JOIN pg_catalog.pg_locks l ON l.virtualtransaction = x.virtualtransaction
WHERE x.locktype = 'transactionid' AND x.pid IS NULL AND l.pid IS NULL AND x.granted AND l.granted`;

/**
 * A prepared transaction of a role that several grants share is certainly the user's where it holds a lock on the user's
 * role, or where no other user of that role can still be logged in.
 */
const preparedSql = `
WITH locks AS (${locksSql})
SELECT p.gid, r.rolname AS owner, d.datname AS database, p.transaction::text AS xid,
  r.rolname = $1
  OR EXISTS (SELECT FROM locks l JOIN pg_catalog.pg_roles u ON u.oid = l.objid
    WHERE l.xid = p.transaction::text AND l.locktype = 'object' AND l.database = 0
      AND l.classid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND u.rolname = $1)
  OR NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles u ON u.oid = m.member
    WHERE m.roleid = r.oid AND u.rolcanlogin AND u.rolname NOT IN ($1, CURRENT_USER)) AS certain
FROM pg_catalog.pg_prepared_xact() p
JOIN pg_catalog.pg_roles r ON r.oid = p.ownerid
JOIN pg_catalog.pg_database d ON d.oid = p.dbid
WHERE r.rolname = ANY ($2::text[])`;

/** @param group role of the user's profile; undefined where that is no longer configured */
export async function rollbackPrepared(
  connection: AdminConnection,
  user: UserRef,
  group: string | undefined,
): Promise<StepResult> {
  const found = await connection.transaction(async (transaction) => {
    // SECURITY: before 16 a user can SET ROLE to its groups and prepare as one of them; such a transaction can hold the row
    // of the user's own role and so keep it alive, with a password of its own.
    const isShared = (await serverVersion(transaction)) < membershipOptionsSince;
    const owners = [user.name, ...(isShared ? [group, markerRole] : [])];
    return await transaction.query<PreparedRow>(preparedSql, [user.name, owners]);
  });
  const holder = found.every(({ certain }) => certain) ? [] : await findHolder(connection, user);
  const results: StepResult[] = [];
  // What else the shared roles have prepared may be another grant's, and is left to the end of the last of them.
  for (const one of found.filter(({ certain, xid }) => certain || holder.includes(xid))) {
    results.push(await rollback(connection, one));
  }
  return joinResults(results);
}

async function rollback(
  connection: AdminConnection,
  { gid, owner, database }: PreparedRow,
): Promise<StepResult> {
  const statement = `ROLLBACK PREPARED ${quoteLiteral(gid)}`;
  return await attempt({
    what: `roll back the prepared transaction ${quoteLiteral(gid)} of ${owner}`,
    remedy: () => ({ database, statements: [statement] }),
    work: async () => {
      await connection.runAs(owner, statement, database);
      return [`rolled back the prepared transaction ${quoteLiteral(gid)}`];
    },
  });
}

/**
 * The prepared transaction that changed the row of the user's role, which nobody but the user and the admin may. The
 * catalogue does not tell; who waits for that row is seen waiting for the transaction.
 */
async function findHolder(connection: AdminConnection, user: UserRef): Promise<readonly string[]> {
  let isWaiting = true;
  let holder: readonly string[] = [];
  const look = async (pid: number) => {
    while (isWaiting && holder.length === 0) {
      holder = await findWaitedFor(connection, pid);
    }
  };
  await attempt({
    what: `change ${user.name}`,
    // Tried for what is seen meanwhile: that the role is held, the step before this one has told.
    remedy: () => ({ database: "", statements: [] }),
    work: () =>
      connection.transaction(async (transaction) => {
        const [self] = await transaction.query<{ pid: number }>(
          "SELECT pg_catalog.pg_backend_pid() AS pid",
        );
        const change = transaction
          .query(`ALTER ROLE ${quoteName(user.name)} NOLOGIN`)
          .finally(() => {
            isWaiting = false;
          });
        await Promise.all([look(self?.pid ?? 0), change]);
        return [];
      }),
  });
  return holder;
}

/** Numbers of the prepared transaction that a process waits for. */
async function findWaitedFor(connection: AdminConnection, pid: number): Promise<readonly string[]> {
  const rows = await connection.query<{ xid: string }>(
    `WITH locks AS (${locksSql})
       SELECT DISTINCT l.xid FROM pg_catalog.pg_locks w
       JOIN locks l ON l.locktype = 'transactionid' AND l.transactionid = w.transactionid
       WHERE w.pid = $1 AND w.locktype = 'transactionid' AND NOT w.granted`,
    [pid],
  );
  return rows.map(({ xid }) => xid);
}
