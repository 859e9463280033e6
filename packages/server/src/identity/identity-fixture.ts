// For tests: a server that has nothing but identity: fastify with the OAuth endpoints, the pages and one authenticated route,
// on a loopback port, with a store in memory and a clock that tests can turn.

import { createHash, hkdfSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { toJitdbError } from "@jitdb/shared/errors";
import { fastify } from "fastify";
import type { AuditEvent } from "../audit/record.ts";
import { Bus, type Hint } from "../bus.ts";
import type { IdentityConfig } from "../config/identity.ts";
import { openMemoryStore, type Store } from "../store/store.ts";
import { challengeFor } from "./authenticator.ts";
import { createIdentity, type Identity } from "./identity.ts";
import { Passwords } from "./passwords.ts";
import { People } from "./people.ts";
import { quickHash } from "./quick-hash.ts";

export interface IdentityServer {
  /** What it calls itself. */
  readonly url: string;
  /** Where it listens. */
  readonly listeningAt: string;
  readonly identity: Identity;
  readonly people: People;
  readonly store: Store;
  readonly events: readonly AuditEvent[];
  readonly hints: readonly Hint[];
  /** What went wrong inside the provider; tests expect it empty. */
  readonly errors: readonly unknown[];
  close(): Promise<void>;
}

export const password = "correct horse battery";

export interface ServerOptions {
  readonly confirm?: "approval" | "loopback";
  readonly identity?: Partial<IdentityConfig>;
  readonly trustProxy?: boolean;
  /** What the server believes its address to be; the address it has, unless told otherwise. */
  readonly publicUrl?: string;
}

/** Starts one with alice and bob in it, who have chosen their password. */
export async function startIdentityServer(options: ServerOptions = {}): Promise<IdentityServer> {
  const clock = { now: () => Date.now() };
  const store = await openMemoryStore(clock);
  const events: AuditEvent[] = [];
  const hints: Hint[] = [];
  const errors: unknown[] = [];
  const bus = new Bus();
  bus.on((hint) => hints.push(hint));
  const app = fastify({ trustProxy: options.trustProxy ?? false });
  // The port is known before the routes are there: the issuer's address is part of all that they say.
  const port = await reservePort();
  const listeningAt = `http://127.0.0.1:${port}`;
  const url = options.publicUrl ?? listeningAt;
  const masterKey = createHash("sha256").update("a master key for tests").digest();
  const random = { bytes: (count: number) => randomBytes(count) };
  const trail = {
    stage: async (_tx: unknown, event: AuditEvent) => void events.push(event),
    drain: async () => {},
  };
  const people = new People({ store, clock, random, trail, bus, passwords: new Passwords(random) });
  const identity = await createIdentity({
    store,
    clock,
    random,
    trail,
    journal: { record: (event) => events.push(event) },
    bus,
    people,
    deriveKey: (label, bytes) => new Uint8Array(hkdfSync("sha256", masterKey, "", label, bytes)),
    publicUrl: url,
    devices: { confirm: options.confirm ?? "approval" },
    identity: { services: {}, ...options.identity },
    onError: (error) => errors.push(error),
  });
  await identity.mount(app);
  app.get("/api/v1/me", async (request, reply) => {
    try {
      return await identity.authenticator.authenticate({
        method: request.method,
        url: `${url}/api/v1/me`,
        authorization: request.headers.authorization,
        proof: request.headers["dpop"] as string | undefined,
        address: request.ip,
      });
    } catch (error) {
      const { code, message, forms } = toJitdbError(error);
      const challenge = challengeFor(code);
      if (challenge !== undefined) {
        reply.header("www-authenticate", challenge);
      }
      return reply.code(forms.http).send({ error: { code, message } });
    }
  });
  await app.listen({ host: "127.0.0.1", port });
  for (const [name, groups] of [
    ["alice", ["developers"]],
    ["bob", ["admins", "developers"]],
  ] as const) {
    await people.add({ name, groups }, "test");
    await setPasswordHash(store, name, quickHash(password));
  }
  return {
    url,
    listeningAt,
    identity,
    people,
    store,
    events,
    hints,
    errors,
    async close() {
      await app.close();
      await store.close();
    },
  };
}

async function setPasswordHash(store: Store, name: string, password_hash: string): Promise<void> {
  await store.db.updateTable("people").set({ password_hash }).where("name", "=", name).execute();
}

/** A port that was free a moment ago. */
async function reservePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, "close");
  return port;
}
