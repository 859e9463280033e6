// Lets clients at the other end reach the database, which listens on loopback only.

import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";

export interface Forwarder {
  readonly port: number;
  close(): void;
}

export async function startForwarder(host: string, target: number): Promise<Forwarder> {
  const server = createServer((client) => {
    const database = connect(target, "127.0.0.1");
    for (const socket of [client, database]) {
      socket.setNoDelay(true);
      socket.on("error", () => undefined);
    }
    client.pipe(database).pipe(client);
    client.on("close", () => database.destroy());
    database.on("close", () => client.destroy());
  });
  server.listen(0, host);
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}
