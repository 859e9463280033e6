// A gateway for tests: the real one on a real journal, with a store in memory, users that exist from the start, and a WebSocket door.

import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { WebSocketServer } from "ws";
import {
  type AccessFixture,
  createAccessFixture,
  minute,
  type Name,
} from "../../packages/server/src/access/access-fixture.ts";
import { segmentFiles } from "../../packages/server/src/audit/journal/segment.ts";
import { openJournal } from "../../packages/server/src/audit/journal.ts";
import type { AuditKind, EventOf } from "../../packages/server/src/audit/record.ts";
import { Masker } from "../../packages/server/src/audit/statements/masker.ts";
import { Bus } from "../../packages/server/src/bus.ts";
import { Closers } from "../../packages/server/src/closers.ts";
import type { DatabaseConfig } from "../../packages/server/src/config/config.ts";
import { postgresEngine } from "../../packages/server/src/engines/postgres/engine.ts";
import { Gateway } from "../../packages/server/src/gateway/gateway.ts";
import { type GatewayLimits, gatewayLimits } from "../../packages/server/src/gateway/limits.ts";
import type { GrantUser } from "../../packages/server/src/gateway/sessions/open-session.ts";
import { FastWebSocket } from "../../packages/server/src/http/websockets/fast-websocket.ts";
import type { Credentials } from "../../packages/server/src/identity/authenticator.ts";
import type { Caller } from "../../packages/server/src/identity/caller.ts";
import { createLogger } from "../../packages/server/src/logger.ts";
import { systemPorts } from "../../packages/server/src/system.ts";
import type { DeviceId, GrantId, RequestId } from "../../packages/shared/src/ids.ts";
import { Secret } from "../../packages/shared/src/secret.ts";
import type { RunningPostgres } from "../support/postgres.ts";
import { Agent, type AgentOptions } from "./agent.ts";

export interface RigOptions {
  readonly limits?: Partial<GatewayLimits>;
  readonly database?: Partial<DatabaseConfig>;
}

export interface Rig {
  readonly gateway: Gateway;
  readonly access: AccessFixture;
  /** Name of the one configured database. */
  readonly databaseName: string;
  readonly journalFolder: string;
  /** What `userFor` says of a grant from now on. */
  setUser(grant: GrantId, user: GrantUser | (() => GrantUser)): void;
  /** What happens when a grant's user is to get another password: by default nothing. */
  setRenewPassword(renew: (grant: GrantId) => Promise<void>): void;
  /** Whether writes to the journal fail. */
  setDiskFull(isFull: boolean): void;
  /** How AUTH frames end. */
  setAuthenticate(authenticate: (credentials: Credentials) => Promise<Caller>): void;
  /** A grant with a user in the database; ends so many ms from now, and drains for so many more. */
  grant(name: Name, durationMs?: number, drainMs?: number): Promise<GrantId>;
  userOf(grant: GrantId): GrantUser;
  agent(name: Name, options?: AgentOptions & { caller?: Partial<Caller> }): Promise<Agent>;
  /** Where a caller's WebSocket goes. */
  doorOf(name: Name, caller?: Partial<Caller>): string;
  /** The server's log so far. */
  readonly log: readonly string[];
  /** Address of the door, for peers that are no agents. */
  readonly url: string;
  records<Kind extends AuditKind>(kind: Kind): EventOf<Kind>[];
  /** Resolves with the records of a kind as soon as there are so many. */
  recorded<Kind extends AuditKind>(kind: Kind, count?: number): Promise<EventOf<Kind>[]>;
  /** Resolves when the database runs a pg_sleep: a cancel that comes before it would be lost. */
  asleep(): Promise<void>;
  /** Runs statements as the superuser. */
  superuser(sql: string): Promise<unknown[][]>;
  close(): Promise<void>;
}

export async function createRig(postgres: RunningPostgres, options: RigOptions = {}): Promise<Rig> {
  const closers = new Closers();
  const access = await createAccessFixture();
  closers.add(() => access.store.close());
  const journalFolder = mkdtempSync(join(tmpdir(), "jitdb-journal-"));
  closers.add(() => rmSync(journalFolder, { recursive: true }));
  const { random } = systemPorts();
  const log: string[] = [];
  let isFull = false;
  const files: typeof segmentFiles = {
    ...segmentFiles,
    write(file, bytes, offset) {
      if (isFull) {
        throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
      }
      return segmentFiles.write(file, bytes, offset);
    },
  };
  const { clock, store } = access;
  const journal = openJournal({ folder: journalFolder, clock, random, files });
  closers.add(() => {
    isFull = false;
    journal.close();
  });

  const database: DatabaseConfig = {
    name: "prod-orders",
    engine: "postgres",
    host: postgres.host,
    port: postgres.port,
    database: "postgres",
    tls: { mode: "disable" },
    admin: { user: "canary_admin", password: new Secret("canary-admin-password") },
    labels: {},
    profiles: new Map(),
    ...options.database,
  };
  const admin = new pg.Client({ connectionString: postgres.url() });
  await admin.connect();
  closers.add(() => admin.end());

  const users = new Map<GrantId, GrantUser | (() => GrantUser)>();
  let renewPassword: (grant: GrantId) => Promise<void> = async () => undefined;
  let authenticate: (credentials: Credentials) => Promise<Caller> = () => {
    throw new Error("no authenticator");
  };
  const userOf = (grant: GrantId): GrantUser => {
    const user = users.get(grant);
    if (user === undefined) {
      throw new Error(`no user for ${grant}`);
    }
    return typeof user === "function" ? user() : user;
  };
  const limits = { ...gatewayLimits, tickMs: 50, userRetryMs: 20, ...options.limits };
  const gateway = new Gateway(
    {
      config: { databases: new Map([[database.name, database]]), publicUrl: "https://jitdb.test" },
      engines: [postgresEngine],
      store,
      journal,
      masker: new Masker(Buffer.from("key")),
      authenticator: { authenticate: async (credentials) => authenticate(credentials) },
      credentials: {
        userFor: async (grant) => userOf(grant),
        renewPassword: async (grant) => renewPassword(grant),
      },
      bus: new Bus(),
      clock,
      random,
      log: createLogger({ write: (line) => log.push(line) }, "json"),
    },
    limits,
  );
  const door = new WebSocketServer({
    WebSocket: FastWebSocket,
    ...{ host: "127.0.0.1", port: 0, maxPayload: 1_048_576 },
  });
  await once(door, "listening");
  closers.add(() => door.close());
  closers.add(() => gateway.close("the test is over"));
  const url = `ws://127.0.0.1:${(door.address() as AddressInfo).port}`;
  const callers: Caller[] = [];
  door.on("connection", (ws, { url: path = "", socket }) => {
    ws.takeOver(socket, 1_048_576);
    gateway.accept(ws, callers[Number(path.slice(1))] ?? access.caller("alice"));
  });

  const records = <Kind extends AuditKind>(kind: Kind) =>
    readJournal(journalFolder).filter((record): record is EventOf<Kind> => record.kind === kind);
  const doorOf = (name: Name, caller?: Partial<Caller>) =>
    `${url}/${callers.push({ ...access.caller(name), ...caller }) - 1}`;
  let grants = 0;
  return {
    gateway,
    access,
    databaseName: database.name,
    journalFolder,
    log,
    url,
    userOf,
    setUser: (grant, user) => users.set(grant, user),
    setRenewPassword: (renew) => {
      renewPassword = renew;
    },
    setDiskFull: (full) => {
      isFull = full;
    },
    setAuthenticate: (next) => {
      authenticate = next;
    },
    async grant(name, durationMs = 30 * minute, drainMs = 0) {
      grants += 1;
      const caller = access.caller(name);
      const id = `grt_test${grants}` as GrantId;
      await addGrant(access, caller, id, durationMs, drainMs, database.name);
      const userName = `jit_test_${grants}_${randomBytes(4).toString("hex")}`;
      const password = `canary-user-${randomBytes(9).toString("hex")}`;
      await admin.query(`CREATE ROLE ${userName} LOGIN PASSWORD '${password}'`);
      users.set(id, {
        state: "created",
        userName,
        password: new Secret(password),
        generation: 1,
        proven: Promise.resolve(),
      });
      return id;
    },
    doorOf,
    async agent(name, { caller, ...agentOptions } = {}) {
      const agent = await Agent.connect(doorOf(name, caller), agentOptions);
      closers.add(() => agent.ws.terminate());
      return agent;
    },
    records,
    async recorded<Kind extends AuditKind>(kind: Kind, count = 1) {
      for (;;) {
        const found = records(kind);
        if (found.length >= count) {
          return found;
        }
        await new Promise<void>((resolve) => {
          const stop = journal.onFlush(() => {
            stop();
            resolve();
          });
        });
      }
    },
    async asleep() {
      const sleeping = "select from pg_stat_activity where wait_event = 'PgSleep'";
      while ((await admin.query(sleeping)).rowCount === 0) {
        // The database has not come to it yet.
      }
    },
    async superuser(sql) {
      return (await admin.query({ text: sql, rowMode: "array" })).rows;
    },
    close: () => closers.close(),
  };
}

function readJournal(folder: string): { readonly kind: AuditKind }[] {
  return readdirSync(folder)
    .sort()
    .flatMap((name) => readFileSync(join(folder, name), "utf8").split("\n"))
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

async function addGrant(
  { store, clock }: AccessFixture,
  { personId, deviceId }: Caller,
  id: GrantId,
  durationMs: number,
  drainMs: number,
  databaseName: string,
): Promise<void> {
  const requestId = id.replace("grt", "req") as RequestId;
  const person_id = personId;
  const device_id = deviceId as DeviceId;
  await store.db
    .insertInto("requests")
    .values({
      id: requestId,
      person_id,
      device_id,
      database_name: databaseName,
      profile: "read-write",
      duration_ms: durationMs,
      reason: "",
      state: "approved",
      policy: "test",
      approvals_needed: 0,
      approver_groups: "[]",
      digest: "",
      created_at: clock.ms,
      lapses_at: clock.ms + durationMs,
      decided_at: clock.ms,
      decided_by: null,
      decision_reason: null,
    })
    .execute();
  await store.db
    .insertInto("grants")
    .values({
      id,
      request_id: requestId,
      person_id,
      device_id,
      database_name: databaseName,
      profile: "read-write",
      starts_at: clock.ms,
      ends_at: clock.ms + durationMs,
      drain_ms: drainMs,
      state: "active",
      end: null,
      ended_at: null,
      ended_by: null,
      end_reason: null,
    })
    .execute();
}
