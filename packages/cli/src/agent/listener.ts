// The two doors of an agent: a loopback port and a Unix socket in a private folder. Which bytes pass is the front's concern.

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import { isWindows } from "../platform.ts";
import type { Engine, Front } from "./engine.ts";
import {
  isAnswered,
  openPrivateSocketFolder,
  openSharedFolder,
  readOwner,
  removeSocket,
  type SocketFolder,
  writeOwner,
} from "./socket-folder.ts";

/** SECURITY: never a wildcard address, which other machines reach (invariant 8). */
export const listenHost = "127.0.0.1";

/** Where the stable ports of databases lie: above the well-known ones, below those that systems give to clients. */
const stablePorts = { first: 20_000, count: 10_000 };

/** The number that a private socket carries in its name. */
const privateSocketPort = 5432;

export interface ListenerPorts {
  readonly engine: Pick<Engine, "socketName">;
  readonly front: Pick<Front, "accept">;
  readonly home: string;
}

export interface Listener {
  /** Of TCP, and in the name of the socket. */
  readonly port: number;
  /** Absent on Windows. */
  readonly socketFolder: string | undefined;
  /** Takes no more clients; those that are served stay. */
  close(): Promise<void>;
}

/**
 * The port of a database, the same at each start, so that a GUI can save it. The home is part of it, so that two people
 * on one machine have two.
 */
export function stablePort(home: string, server: string, database: string): number {
  const digest = createHash("sha256").update([home, server, database].join("\0")).digest();
  return stablePorts.first + (digest.readUInt32BE(0) % stablePorts.count);
}

/**
 * Opens both doors. A port that is taken is never replaced by another one: SECURITY: what a person saved in a GUI must not
 * come to a stranger while the agent listens elsewhere (invariant 43).
 * @param port 0 for any that is free
 * @param database its name, for messages
 * @throws JitdbError `local.port_in_use`, `local.storage`
 */
export async function listen(
  ports: ListenerPorts,
  port: number,
  database: string,
): Promise<Listener> {
  const tcp = createServer({ allowHalfOpen: true }, (socket) => ports.front.accept(socket, "tcp"));
  try {
    tcp.listen({ host: listenHost, port, exclusive: true });
    await once(tcp, "listening");
  } catch (cause) {
    throw await describeTaken(ports, port, database, cause);
  }
  const taken = portOf(tcp);
  if (isWindows) {
    return { port: taken, socketFolder: undefined, close: () => stop(tcp) };
  }
  try {
    const folder = await openSharedFolder(ports.home, ports.engine.socketName(taken));
    const door = await openSocket(ports, folder, taken);
    return {
      port: taken,
      socketFolder: folder.path,
      close: async () => {
        await Promise.all([stop(tcp), door.close()]);
      },
    };
  } catch (error) {
    await stop(tcp);
    throw error;
  }
}

/** Opens a socket alone, in a folder that no other process uses. @throws JitdbError `local.storage` */
export async function listenPrivately(
  ports: ListenerPorts,
): Promise<Listener & { readonly socketFolder: string }> {
  const socketName = ports.engine.socketName(privateSocketPort);
  const folder = await openPrivateSocketFolder(ports.home, socketName);
  const door = await openSocket(ports, folder, privateSocketPort);
  return { port: privateSocketPort, socketFolder: folder.path, close: door.close };
}

/** Whoever holds the TCP port of the same number owns the socket's name, so what lies there is left over or nobody's. */
async function openSocket(ports: ListenerPorts, folder: SocketFolder, port: number) {
  const path = join(folder.path, ports.engine.socketName(port));
  const server = createServer({ allowHalfOpen: true }, (socket) =>
    ports.front.accept(socket, "socket"),
  );
  try {
    await refuseLiving(path, port);
    await removeSocket(path);
    server.listen({ path });
    await once(server, "listening");
    await writeOwner(path);
  } catch (cause) {
    server.close();
    await folder.remove();
    throw cause instanceof JitdbError
      ? cause
      : new JitdbError("local.storage", `Can't open the socket ${path}.`, { cause });
  }
  return {
    close: async () => {
      await stop(server);
      await removeSocket(path);
      await folder.remove();
    },
  };
}

async function refuseLiving(path: string, port: number): Promise<void> {
  if (await isAnswered(path)) {
    throw await alreadyConnected(path, `Port ${port}`);
  }
}

async function describeTaken(
  ports: ListenerPorts,
  port: number,
  database: string,
  cause: unknown,
): Promise<JitdbError> {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  if (code !== "EADDRINUSE") {
    return new JitdbError("local.port_in_use", `Can't listen on ${listenHost}:${port} (${code}).`, {
      hint: "Choose another port with --port, or let jitdb choose with --port 0.",
      cause,
    });
  }
  const path = join(ports.home, "run", ports.engine.socketName(port));
  if (!isWindows && (await isAnswered(path))) {
    return await alreadyConnected(path, database);
  }
  return new JitdbError("local.port_in_use", `Another program holds port ${port}.`, {
    hint: "Choose another with --port, let jitdb choose with --port 0, or end the program that holds it.",
    cause,
  });
}

async function alreadyConnected(path: string, what: string): Promise<JitdbError> {
  const owner = await readOwner(path);
  const where = owner === undefined ? "another process" : `process ${owner}`;
  return new JitdbError("local.port_in_use", `${what} is already connected in ${where}.`, {
    hint: "Use that connection, end it with Ctrl-C, or open a second one with --port 0.",
  });
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new JitdbError("internal", "A TCP listener has no port.");
  }
  return address.port;
}

async function stop(server: Server): Promise<void> {
  server.close();
}
