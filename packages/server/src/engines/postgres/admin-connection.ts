// Connections as the admin role, to the configured database and to the others of its cluster. Every transaction starts
// with an empty search path and short time-outs, and nothing waits without a deadline.

import { Socket } from "node:net";
import { JitdbError } from "@jitdb/shared/errors";
import pg from "pg";
import type { DatabaseConfig, DatabaseTlsConfig, LoginMethod } from "../../config/config.ts";
import { quoteName } from "./quote.ts";

/** Milliseconds, and connections to each database of the cluster. */
export const adminLimits = {
  /** Waiting for a connection that is ready, from the pool or new. */
  connectMs: 3000,
  /** Of that, until the other machine answers at all: the next try comes sooner than TCP would repeat this one. */
  dialMs: 400,
  /** The answer to BEGIN, which costs nothing: later, the connection is one of those that a partition has left behind. */
  beginMs: 1000,
  /** One statement, on the server. */
  statementMs: 5000,
  /** One answer, seen from here: the server may have stopped answering. */
  answerMs: 8000,
  /** Waiting for somebody's lock. */
  lockMs: 300,
  idleMs: 10_000,
  connections: 8,
} as const;

export type Row = Record<string, unknown>;

/** Asks as the admin role: in a transaction that somebody began, or each question in one of its own. */
export interface AdminQueries {
  /** @param name of a statement that is asked often: the connection keeps it prepared. One name, one text. */
  query<R extends Row>(
    text: string,
    values?: readonly unknown[],
    name?: string,
  ): Promise<readonly R[]>;
}

/** One transaction of the admin role; not to be kept beyond its callback. */
export type AdminTransaction = AdminQueries;

/** Connects when first needed; `close` it. */
export class AdminConnection implements AdminQueries {
  readonly #config: DatabaseConfig;
  readonly #pools = new Map<string, pg.Pool>();
  /** Pools that were given up, until those who use them are done. */
  readonly #retired = new Set<Promise<void>>();

  constructor(config: DatabaseConfig) {
    this.#config = config;
  }

  /**
   * Runs `work` in one transaction with an empty search path.
   * @param database name inside the cluster; default the configured one
   * @throws JitdbError `database.unavailable` or `database.misconfigured`; errors of statements as pg's DatabaseError
   */
  async transaction<T>(
    work: (transaction: AdminTransaction) => Promise<T>,
    database: string = this.#config.database,
  ): Promise<T> {
    return await this.#withClient(database, async (client) => {
      // SECURITY: with the path of a session, a function or operator in a writable schema could stand in for a built-in
      // one (CVE-2018-1058) and run with the admin's rights.
      await client.query(begin);
      const result = await work({
        query: async (...question) => (await client.query(toQuery(...question))).rows,
      });
      await client.query("COMMIT");
      return result;
    });
  }

  /**
   * One query in a transaction of its own, in a single round trip.
   * @throws as {@link transaction}
   */
  async query<R extends Row>(...question: Question): Promise<readonly R[]> {
    return await this.#withClient(this.#config.database, async (client) => {
      // SECURITY: sent together, and still one after the other: where the first is refused, the rest is refused with it.
      const [, { rows }] = await Promise.all([
        client.query(begin),
        client.query<R>(toQuery(...question)),
        client.query("COMMIT"),
      ]);
      return rows;
    });
  }

  /**
   * Runs one statement as another role, outside any transaction (ROLLBACK PREPARED must), on a connection of its own.
   * @throws as {@link transaction}
   */
  async runAs(role: string, statement: string, database: string): Promise<void> {
    await this.#withClient(
      database,
      async (client) => {
        await client.query(
          `SET search_path = ''; SET statement_timeout = ${adminLimits.statementMs}; SET lock_timeout = ${adminLimits.lockMs}`,
        );
        await client.query(`SET ROLE ${quoteName(role)}`);
        await client.query(statement);
      },
      { discard: true },
    );
  }

  async close(): Promise<void> {
    for (const database of this.#pools.keys()) {
      this.#retire(database);
    }
    await Promise.all(this.#retired);
  }

  async #withClient<T>(
    database: string,
    work: (client: pg.PoolClient) => Promise<T>,
    { discard = false } = {},
  ): Promise<T> {
    const client = await this.#pool(database)
      .connect()
      .catch((error: unknown) => {
        throw this.#connectError(error);
      });
    let usable = false;
    try {
      const result = await work(client);
      usable = !discard;
      return result;
    } catch (error) {
      if (!(error instanceof pg.DatabaseError)) {
        // The connections that rest in the pool have gone the same way, and each would cost a deadline to find out.
        this.#retire(database);
      }
      if (!(error instanceof pg.DatabaseError) || isShutdown(error)) {
        throw this.#connectError(error);
      }
      usable = !discard && (await rolledBack(client));
      throw error;
    } finally {
      client.release(!usable);
    }
  }

  #retire(database: string): void {
    const pool = this.#pools.get(database);
    if (pool !== undefined) {
      this.#pools.delete(database);
      const ended = pool.end().finally(() => this.#retired.delete(ended));
      this.#retired.add(ended);
    }
  }

  #pool(database: string): pg.Pool {
    const existing = this.#pools.get(database);
    if (existing !== undefined) {
      return existing;
    }
    const { host, port, admin, tls, allowedLogins = [] } = this.#config;
    const pool = new pg.Pool({
      host,
      port,
      database,
      user: admin.user,
      password: () => admin.password.reveal(),
      ssl: tlsOptions(tls, host),
      enableChannelBinding: true,
      application_name: "jitdb-server",
      connectionTimeoutMillis: adminLimits.connectMs,
      query_timeout: adminLimits.answerMs,
      idleTimeoutMillis: adminLimits.idleMs,
      max: adminLimits.connections,
      keepAlive: true,
      pipeline: true,
      stream: dial,
      Client: guardedClient(tls.mode === "disable" ? [] : allowedLogins),
    });
    // An idle connection that the server closed is replaced at the next use; nobody waits for it.
    pool.on("error", () => {});
    this.#pools.set(database, pool);
    return pool;
  }

  #connectError(error: unknown): JitdbError {
    if (error instanceof JitdbError) {
      return error;
    }
    const name = this.#config.name;
    const detail = error instanceof Error ? error.message : String(error);
    const refused = error instanceof pg.DatabaseError && !isShutdown(error);
    return refused || error instanceof InsecureLogin || isTlsFailure(error)
      ? new JitdbError("database.misconfigured", `${name} refuses the server's admin role.`, {
          cause: error,
          detail,
        })
      : new JitdbError("database.unavailable", `${name} cannot be reached at the moment.`, {
          cause: error,
          detail,
        });
  }
}

type Question = Parameters<AdminQueries["query"]>;

function toQuery(...[text, values = [], name]: Question): pg.QueryConfig {
  return { text, values: [...values], ...(name !== undefined && { name }) };
}

/** With a deadline of its own, which pg knows and its types do not. */
const begin: pg.QueryConfig & { readonly query_timeout: number } = {
  text: `BEGIN; SET LOCAL search_path = ''; SET LOCAL statement_timeout = ${adminLimits.statementMs}; SET LOCAL lock_timeout = ${adminLimits.lockMs}`,
  query_timeout: adminLimits.beginMs,
};

/** A socket that gives up soon where nobody answers. */
function dial(): Socket {
  const socket = new Socket();
  const giveUp = () => {
    if (socket.connecting) {
      socket.destroy(new Error(`No answer within ${adminLimits.dialMs} ms.`));
    }
  };
  // After one more look at the network: a process that was held up itself may find the answer there.
  const timer = setTimeout(() => setImmediate(giveUp), adminLimits.dialMs);
  for (const event of ["connect", "close"]) {
    socket.once(event, () => clearTimeout(timer));
  }
  return socket;
}

/** SQLSTATE classes 08 (connection), 53 (resources) and 57 (operator intervention) pass with time; the rest do not. */
function isShutdown(error: pg.DatabaseError): boolean {
  return /^(08|53|57P)/.test(error.code ?? "");
}

function isTlsFailure(error: unknown): boolean {
  if (!(error instanceof Error)) {
    return false;
  }
  const code = "code" in error ? String(error.code) : "";
  // pg has no code for a server without TLS.
  return tlsCodes.test(code) || error.message.includes("does not support SSL");
}

const tlsCodes = /^(ERR_TLS|ERR_SSL|CERT_|SELF_SIGNED|DEPTH_ZERO|UNABLE_TO)/;

async function rolledBack(client: pg.PoolClient): Promise<boolean> {
  try {
    await client.query("ROLLBACK");
    return true;
  } catch {
    // The first error is the one to report; this connection is thrown away.
    return false;
  }
}

function tlsOptions(tls: DatabaseTlsConfig, host: string): false | Record<string, unknown> {
  const authorities = {
    ...(tls.ca !== undefined && { ca: tls.ca }),
    ...(tls.client && { cert: tls.client.cert, key: tls.client.key.reveal() }),
  };
  switch (tls.mode) {
    case "disable":
      return false;
    case "require":
      return { ...authorities, rejectUnauthorized: false };
    case "verify-ca":
      // The chain is checked, the name is not: libpq's meaning of the word.
      return { ...authorities, rejectUnauthorized: true, checkServerIdentity: () => undefined };
    case "verify-full":
      return { ...authorities, rejectUnauthorized: true, host };
  }
}

class InsecureLogin extends Error {}

/** How pg tells of a server that wants a password without SCRAM, and the method that allows it. */
const passwordRequests = {
  authenticationCleartextPassword: "password",
  authenticationMD5Password: "md5",
} as const satisfies Record<string, LoginMethod>;

/**
 * SECURITY: pg would hand the password to a false server that asks for it in clear text, or as an MD5 that can be cracked. And
 * it would take one that asks for nothing: such a server would then be handed verifiers of new users, which is all that it
 * needs to pass for the database in their logins, too (invariant 17).
 */
function guardedClient(allowed: readonly LoginMethod[]) {
  return class extends pg.Client {
    constructor(config?: pg.ClientConfig) {
      super(config);
      // The pool listens while a connection rests. One that breaks in use tells by its next query; without a listener that
      // would be the end of the process, and of everybody's sessions.
      this.on("error", () => {});
      let isAsked = allowed.includes("certificate");
      // Registered before pg's own listeners: nothing is written to a connection that is destroyed.
      for (const [event, method] of Object.entries(passwordRequests)) {
        this.connection.on(event, () => {
          isAsked = true;
          this.#refuseUnless(
            allowed.includes(method),
            `It asks for the admin role's password by ${method}: pg_hba.conf has to say scram-sha-256, or login.allow ${method}.`,
          );
        });
      }
      // pg checks what the server proves by it, and gives up where it is wrong.
      this.connection.on("authenticationSASLFinal", () => {
        isAsked = true;
      });
      this.connection.on("authenticationOk", () =>
        this.#refuseUnless(
          isAsked,
          "It lets the admin role in without a password: pg_hba.conf has to say scram-sha-256.",
        ),
      );
    }

    #refuseUnless(isAllowed: boolean, why: string): void {
      if (!isAllowed) {
        // At once: what the server has sent behind it may be at hand already, and would count as the login's success.
        this.connection.emit("error", new InsecureLogin(why));
        this.connection.stream.destroy();
      }
    }
  };
}
