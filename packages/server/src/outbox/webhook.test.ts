import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Secret } from "@jitdb/shared/secret";
import { afterEach, expect, it } from "vitest";
import { webhookSender } from "./webhook.ts";

const never = new AbortController().signal;
const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

/** An endpoint that takes messages and answers none. */
async function silentHost(): Promise<string> {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function send(host: string, signal: AbortSignal): Promise<void> {
  const config = { name: "chat", url: `http://${host}/`, secret: new Secret("whsec_MfKQ9r8G") };
  const sender = webhookSender(config, { now: () => 0 }, 200);
  await sender.send({ id: "one", body: "{}" } as never, signal);
}

it("gives up an endpoint that does not answer, and says so", async () => {
  const host = await silentHost();
  await expect(send(host, never)).rejects.toThrow(`${host}: no answer in 0.2s`);
});

it("stops at once when the server does", async () => {
  const host = await silentHost();
  await expect(send(host, AbortSignal.abort())).rejects.toThrow(`${host}: not reachable`);
});
