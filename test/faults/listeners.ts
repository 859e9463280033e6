// Things that listen on loopback and are no jitdb server, one for each way to be none.

import { once } from "node:events";
import { createServer as createHttpServer, type RequestListener } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { testCertificate, testKey } from "../../packages/cli/src/network/test-certificate.ts";
import type { Scene } from "./scene.ts";

/** A port on which nothing listens. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const port = portOf(server);
  server.close();
  await once(server, "close");
  return port;
}

/** A web server; gives its port. It goes with the scene, as all of these. */
export async function startWebServer(scene: Scene, answer: RequestListener): Promise<number> {
  return await listen(scene, createHttpServer(answer));
}

/** A web server with a certificate that nobody signed. */
export async function startTlsServer(scene: Scene): Promise<number> {
  const keys = { cert: testCertificate, key: testKey };
  return await listen(
    scene,
    createHttpsServer(keys, (_request, response) => response.end()),
  );
}

/** An HTTP proxy that refuses every CONNECT with the status. */
export async function startRefusingProxy(scene: Scene, status: string): Promise<number> {
  const proxy = createHttpServer();
  proxy.on("connect", (_request, socket) => socket.end(`HTTP/1.1 ${status}\r\n\r\n`));
  return await listen(scene, proxy);
}

/** Something that greets whoever comes, and then only listens. */
export async function startGreeter(scene: Scene, greeting: string): Promise<number> {
  return await listen(
    scene,
    createServer((socket) => socket.write(greeting)),
  );
}

/** A Unix socket that takes connections and never answers. */
export async function startSilentSocket(scene: Scene, path: string): Promise<void> {
  const server = createServer((socket) => socket.resume());
  server.listen(path);
  await once(server, "listening");
  closeWith(scene, server);
}

async function listen(scene: Scene, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  closeWith(scene, server);
  return portOf(server);
}

function closeWith(scene: Scene, server: Server): void {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
  });
  scene.after(() => {
    for (const socket of sockets) {
      socket.destroy();
    }
    server.close();
  });
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
