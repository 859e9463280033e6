// How local clients reach an agent: as a line to paste, as a URL, as single values.

import type { GrantView } from "@jitdb/shared/api/access";
import { type Listener, listenHost } from "./listener.ts";

export interface Addresses {
  readonly host: string;
  readonly port: number;
  /** Folder of the Unix socket; libpq's `host`. Null on Windows. */
  readonly socket: string | null;
  /** Whatever it is, the gateway puts the grant's own user in its place. */
  readonly user: string;
  /** Inside the server. */
  readonly database: string;
  /** Through the socket where there is one; without a password, so that it may stand on a command line. */
  readonly url: string;
}

export function addressesOf(listener: Listener, grant: GrantView): Addresses {
  const { port } = listener;
  const socket = listener.socketFolder ?? null;
  const user = encodeURIComponent(grant.person);
  const database = encodeURIComponent(grant.databaseName);
  const url =
    socket === null
      ? `postgresql://${user}@${listenHost}:${port}/${database}`
      : `postgresql://${user}@/${database}?host=${encodeURIComponent(socket)}&port=${port}`;
  return { host: listenHost, port, socket, user: grant.person, database: grant.databaseName, url };
}

/** A psql command that works as it is in any shell of the same user, and carries no password. */
export function psqlLine(addresses: Addresses, passwordFile: string): string {
  const { host, port, socket, database, user } = addresses;
  const target = { host: socket ?? host, port: String(port), dbname: database, user };
  // SECURITY: whoever holds the port instead of us must not be told a password in any other form (invariant 43).
  const conninfo = toConninfo(
    socket === null ? { ...target, passfile: passwordFile, require_auth: "scram-sha-256" } : target,
  );
  return `psql ${/^[\w ./:=@%+,-]*$/.test(conninfo) ? `"${conninfo}"` : quoteForShell(conninfo)}`;
}

/** libpq's keyword/value form: values are quoted where they hold more than plain characters. */
function toConninfo(values: Readonly<Record<string, string>>): string {
  return Object.entries(values)
    .map(([key, value]) => `${key}=${/^[\w./:@%+,-]+$/.test(value) ? value : quoteValue(value)}`)
    .join(" ");
}

function quoteValue(value: string): string {
  return `'${value.replaceAll(/[\\']/g, "\\$&")}'`;
}

function quoteForShell(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
