// Looks at somebody's own database before `try` writes anything: can it be reached, does it speak TLS, which schemas does it have.
// Every look has a deadline.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { isAbsolute, resolve } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import { Secret } from "@jitdb/shared/secret";
import pg from "pg";
import type { TlsMode } from "../config/config.ts";

const timeoutMs = 5000;

/** What a connection URL says. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password: Secret | undefined;
  /** Absent: whatever the server offers. */
  readonly tlsMode: TlsMode | undefined;
  /** Absolute path of the authorities' certificates. */
  readonly ca: string | undefined;
  /** The URL without its password. */
  readonly shownUrl: string;
}

export interface Survey {
  readonly tlsMode: TlsMode;
  /** Those with tables; `public` where nobody could look. */
  readonly schemas: readonly string[];
  /** Why nobody could look; undefined where somebody could. */
  readonly notLoggedIn: string | undefined;
  /** The address from which the database is reached; undefined for a Unix socket. */
  readonly ownAddress: string | undefined;
}

const tlsModes = ["disable", "require", "verify-ca", "verify-full"] as const;

/** @throws JitdbError `usage.invalid`; its message does not repeat the URL, which may hold a password */
export function parseTarget(text: string): Target {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !["postgres:", "postgresql:"].includes(url.protocol)) {
    throw new JitdbError("usage.invalid", "This is no PostgreSQL URL.", {
      hint: "Write it as postgres://user@host:5432/database.",
    });
  }
  const parameters = url.searchParams;
  const user = decodeURIComponent(url.username) || parameters.get("user") || "postgres";
  const password = decodeURIComponent(url.password) || parameters.get("password");
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1") || parameters.get("host");
  const ca = parameters.get("sslrootcert");
  return {
    host: decodeURIComponent(host ?? "/var/run/postgresql"),
    port: Number(url.port || parameters.get("port") || 5432),
    database: decodeURIComponent(url.pathname.slice(1)) || parameters.get("dbname") || user,
    user,
    password: password === null || password === "" ? undefined : new Secret(password),
    tlsMode: tlsModes.find((mode) => mode === parameters.get("sslmode")),
    ca: ca === null || ca === "system" ? undefined : resolve(ca),
    shownUrl: withoutPassword(url),
  };
}

/** SQLSTATE invalid_catalog_name. */
const noSuchDatabase = "3D000";

/** @throws JitdbError `database.unavailable` where nothing answers, `database.unknown` for one that the server does not have */
export async function surveyDatabase(target: Target): Promise<Survey> {
  const { offersTls, ownAddress } = await probe(target);
  const tlsMode = target.tlsMode ?? (offersTls ? "require" : "disable");
  try {
    const schemas = await readSchemas(target, tlsMode);
    const found = schemas.length > 0 ? schemas : ["public"];
    return { tlsMode, schemas: found, notLoggedIn: undefined, ownAddress };
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === noSuchDatabase) {
      throw unknownDatabase(target, error);
    }
    const notLoggedIn = error instanceof Error ? error.message : "unknown error";
    return { tlsMode, schemas: ["public"], notLoggedIn, ownAddress };
  }
}

function withoutPassword(url: URL): string {
  const shown = new URL(url);
  shown.password = "";
  shown.searchParams.delete("password");
  return shown.href;
}

/** Asks for TLS and hangs up (SSLRequest; PostgreSQL manual, "SSL Session Encryption"). */
async function probe({ host, port }: Target): Promise<{ offersTls: boolean; ownAddress?: string }> {
  const isSocket = isAbsolute(host);
  const socket = isSocket ? connect(`${host}/.s.PGSQL.${port}`) : connect({ host, port });
  try {
    await within(socket, "connect");
    if (isSocket) {
      return { offersTls: false };
    }
    const ownAddress = socket.localAddress?.replace(/^::ffff:/, "");
    socket.write(Buffer.from("0000000804d2162f", "hex"));
    const [answer] = await within(socket, "data");
    const offersTls = Buffer.isBuffer(answer) && answer[0] === "S".charCodeAt(0);
    return { offersTls, ...(ownAddress !== undefined && { ownAddress }) };
  } catch (error) {
    throw unreachable(host, port, error);
  } finally {
    socket.destroy();
  }
}

async function within(socket: Socket, event: string): Promise<unknown[]> {
  return await once(socket, event, { signal: AbortSignal.timeout(timeoutMs) });
}

function unreachable(host: string, port: number, cause: unknown): JitdbError {
  return new JitdbError("database.unavailable", `No PostgreSQL answers at ${host}:${port}.`, {
    cause,
    hint: "Check host and port in the URL; psql with the same URL should work.",
  });
}

function unknownDatabase({ database, host, port }: Target, cause: unknown): JitdbError {
  return new JitdbError(
    "database.unknown",
    `There is no database "${database}" at ${host}:${port}.`,
    {
      cause,
      hint: "Check the URL; `psql --list` with the same host and user shows which there are.",
    },
  );
}

async function readSchemas(target: Target, tlsMode: TlsMode): Promise<string[]> {
  const client = new pg.Client({
    host: target.host,
    port: target.port,
    database: target.database,
    user: target.user,
    ...(target.password && { password: target.password.reveal() }),
    ssl: tlsMode === "disable" ? false : { rejectUnauthorized: tlsMode.startsWith("verify") },
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
  });
  // A connection that breaks while idle must not end the process.
  client.on("error", () => undefined);
  try {
    await client.connect();
    const { rows } = await client.query<{ nspname: string }>(`
      SELECT nspname FROM pg_catalog.pg_namespace AS n
      WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        AND EXISTS (SELECT FROM pg_catalog.pg_class AS c
                    WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f'))
      ORDER BY nspname`);
    return rows.map((row) => row.nspname);
  } finally {
    await client.end();
  }
}
