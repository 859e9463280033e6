// A fresh connection to a PostgreSQL server, encrypted as configured, before its first message.
// Sources: PostgreSQL manual, "SSL Session Encryption"; RFC 5929 §4 (tls-server-end-point).

import { createHash, type X509Certificate } from "node:crypto";
import { once } from "node:events";
import { connect as connectSocket, isIP, type Socket, type SocketConstructorOpts } from "node:net";
import { join } from "node:path";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { JitdbError } from "@jitdb/shared/errors";
import { Inlet } from "@jitdb/shared/inlet";
import { encodeTerminate } from "@jitdb/shared/postgres/encoder";
import { encodeSslRequest } from "@jitdb/shared/postgres/startup";
import type { DatabaseConfig } from "../../../config/config.ts";

export interface Connection {
  /** What messages go through. Errors after the connection was made come as its events. */
  readonly socket: Socket;
  /** The socket of the transport: the same one, or the one below TLS. */
  readonly transport: Socket;
  readonly isEncrypted: boolean;
  /** Hash of the server's certificate, for channel binding; absent without TLS. */
  readonly serverEndPoint?: Uint8Array | undefined;
  /** As {@link Inlet.read}. */
  read(take: ((bytes: Uint8Array) => void) | undefined): void;
}

export type Target = Pick<DatabaseConfig, "name" | "host" | "port" | "tls">;

/**
 * Connects. TLS is for TCP alone, as in libpq: a Unix socket does not leave the host.
 * @param signal gives up; what was opened is closed
 * @throws JitdbError `database.unavailable`, or `database.misconfigured` for TLS that does not come about as configured
 */
export async function connectToServer(target: Target, signal: AbortSignal): Promise<Connection> {
  const isLocal = target.host.startsWith("/");
  const inlet = new Inlet(setImmediate);
  const { onread } = inlet;
  const transport = isLocal
    ? connectSocket({ path: join(target.host, `.s.PGSQL.${target.port}`), onread })
    : connectSocket({
        ...{ host: target.host, port: target.port, noDelay: true, keepAlive: true },
        onread,
      });
  inlet.bind(transport);
  const closed = new AbortController();
  const onClose = () => closed.abort(new Error("it closed the connection"));
  transport.on("close", onClose);
  transport.on("error", tellByClose);
  const usable = AbortSignal.any([signal, closed.signal]);
  try {
    await once(transport, "connect", { signal: usable });
    if (isLocal || target.tls.mode === "disable") {
      const read = inlet.read.bind(inlet);
      return { socket: transport, transport, isEncrypted: false, read };
    }
    const encrypted = new Inlet(setImmediate);
    const socket = await encrypt(transport, target, usable, encrypted);
    const read = encrypted.read.bind(encrypted);
    return { socket, transport, isEncrypted: true, serverEndPoint: endPointOf(socket), read };
  } catch (error) {
    transport.destroy();
    throw error instanceof JitdbError ? error : unreachable(target, error);
  } finally {
    transport.off("close", onClose);
  }
}

/**
 * Ends a connection at once. SECURITY: by a reset where there is one. After a mere close the server's next answer would still
 * go out, and the server would go on to the statements that it has read already; a failed write ends it.
 */
export function cut({ socket, transport }: Connection): void {
  if (transport.remoteFamily !== undefined) {
    transport.resetAndDestroy();
  }
  transport.destroy();
  socket.destroy();
}

/** An idle server closes its side behind a goodbye within this, or we do. */
const goodbyeMs = 250;

/** Ends a connection on which nothing runs, with a word. */
export function sayGoodbye(connection: Connection): void {
  const { socket } = connection;
  socket.resume();
  socket.end(encodeTerminate());
  setTimeout(() => cut(connection), goodbyeMs).unref();
}

/** A socket without a listener for errors would end the process. Whoever holds the connection listens for its close. */
function tellByClose(): void {}

async function encrypt(
  transport: Socket,
  target: Target,
  signal: AbortSignal,
  inlet: Inlet,
): Promise<TLSSocket> {
  transport.write(encodeSslRequest());
  const [answer]: Uint8Array[] = await once(transport, "data", { signal });
  // Whatever comes next belongs to TLS, which reads for itself.
  transport.pause();
  if (answer?.[0] !== 0x53) {
    throw misconfigured(target, "it does not speak TLS");
  }
  // SECURITY: bytes behind the answer came in clear text, from anybody, and would count as the server's (CVE-2021-23222, invariant 13).
  if (answer.length !== 1) {
    throw misconfigured(target, `${answer.length - 1} bytes came behind its answer to SSLRequest`);
  }
  const { onread } = inlet;
  // Documented for sockets that TLS opens itself; it works all the same for one that is given.
  const options: ConnectionOptions & Pick<SocketConstructorOpts, "onread"> = {
    ...tlsOptions(target),
    socket: transport,
    onread,
  };
  const socket = connectTls(options);
  inlet.bind(socket);
  socket.on("error", tellByClose);
  try {
    await once(socket, "secureConnect", { signal });
    return socket;
  } catch (error) {
    throw signal.aborted ? error : misconfigured(target, "TLS could not be set up", error);
  }
}

function tlsOptions({ host, tls }: Target): ConnectionOptions {
  return {
    minVersion: "TLSv1.2",
    rejectUnauthorized: tls.mode !== "require",
    // verify-ca trusts whoever the authority vouches for, under any name; verify-full leaves the check to node.
    ...(tls.mode === "verify-full" ? {} : { checkServerIdentity: () => undefined }),
    ...(tls.ca === undefined ? {} : { ca: tls.ca }),
    ...(tls.client === undefined ? {} : { cert: tls.client.cert, key: tls.client.key.reveal() }),
    host,
    ...(isIP(host) === 0 ? { servername: host } : {}),
  };
}

/** Hash functions of certificates' signatures; weak ones are replaced (RFC 5929 §4.1). */
const hashes: readonly (readonly [RegExp, string])[] = [
  [/md5|sha1(?!\d)/i, "sha256"],
  [/sha-?224/i, "sha224"],
  [/sha-?256/i, "sha256"],
  [/sha-?384/i, "sha384"],
  [/sha-?512/i, "sha512"],
];

/** Undefined where the signature names no hash function (Ed25519, RSA-PSS): RFC 5929 defines no binding then. */
function endPointOf(socket: TLSSocket): Uint8Array | undefined {
  const certificate: X509Certificate | undefined = socket.getPeerX509Certificate();
  const algorithm = certificate?.signatureAlgorithm ?? "";
  const hash = hashes.find(([name]) => name.test(algorithm))?.[1];
  return certificate === undefined || hash === undefined
    ? undefined
    : createHash(hash).update(certificate.raw).digest();
}

/** SECURITY: the cause names the host; it is for the log alone (invariant 18). */
export function unreachable({ name }: Pick<Target, "name">, cause: unknown): JitdbError {
  return new JitdbError("database.unavailable", `The database ${name} cannot be reached.`, {
    cause,
    detail: cause instanceof Error ? cause.message : String(cause),
  });
}

function misconfigured({ name }: Target, why: string, cause?: unknown): JitdbError {
  const detail = cause instanceof Error ? `${why}: ${cause.message}` : why;
  return new JitdbError(
    "database.misconfigured",
    `The connection to the database ${name} cannot be made as configured.`,
    { cause, detail },
  );
}
