// A PostgreSQL prepared by our own set-up SQL, with an admin role that is no superuser, and what tests need around it.

import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import pg from "pg";
import type {
  DatabaseConfig,
  Privileges,
  ProfileConfig,
} from "../../packages/server/src/config/config.ts";
import type { Executor, UserRef } from "../../packages/server/src/credentials/executor.ts";
import { postgresEngine } from "../../packages/server/src/engines/postgres/engine.ts";
import { scramCrypto } from "../../packages/server/src/engines/postgres/scram-crypto.ts";
import { buildVerifier } from "../../packages/shared/src/postgres/scram/verifier.ts";
import { Secret } from "../../packages/shared/src/secret.ts";
import { type PostgresVersion, type RunningPostgres, startPostgres } from "../support/postgres.ts";

/** Every kind of table whose privileges a profile may give. */
const schemaSql = `
CREATE ROLE shop NOLOGIN;
CREATE SCHEMA app AUTHORIZATION shop;
SET ROLE shop;
CREATE TABLE app.orders (id serial PRIMARY KEY, item text NOT NULL);
INSERT INTO app.orders (item) VALUES ('lamp'), ('chair');
CREATE TABLE app.secrets (id int);
RESET ROLE;
CREATE SCHEMA closed;
CREATE TABLE closed.hidden (id int);`;

export interface Fixture {
  readonly server: RunningPostgres;
  readonly database: DatabaseConfig;
  readonly executor: Executor;
  /** Runs statements as the superuser. */
  superuser(sql: string, database?: string): Promise<unknown[][]>;
  /** Runs statements as the admin role. */
  admin(sql: string): Promise<unknown[][]>;
  /** Makes a user whose password is known. */
  createUser(profile: string, name?: string): Promise<TestUser>;
  /** An open connection as a user; closed at the end of the fixture. */
  login(user: TestUser, database?: string): Promise<pg.Client>;
  /** An open connection as the superuser; closed at the end of the fixture. */
  superuserClient(): Promise<pg.Client>;
  log(): Promise<string>;
  stop(): Promise<void>;
}

interface Login {
  readonly name: string;
  readonly password: string;
}

export interface TestUser extends UserRef, Login {
  readonly name: string;
  readonly oid: number;
}

export async function createFixture(
  version: PostgresVersion,
  settings: Readonly<Record<string, string>> = {},
): Promise<Fixture> {
  const server = await startPostgres({
    version,
    settings: { max_prepared_transactions: "10", ...settings },
  });
  const adminPassword = randomBytes(18).toString("base64url");
  const database = databaseConfig(server, new Secret(adminPassword));
  const adminUrl = `postgres://jitdb_admin:${adminPassword}@${server.host}:${server.port}/orders`;
  const clients = new Set<pg.Client>();
  const executor = postgresEngine.createExecutor(database);
  async function open(user: Login, name: string): Promise<pg.Client> {
    const client = await connect(server, user, name);
    clients.add(client);
    return client;
  }
  const fixture: Fixture = {
    server,
    database,
    executor,
    superuser: (sql, name = "orders") => query(server.url(name), sql),
    admin: (sql) => query(adminUrl, sql),
    createUser: (profile, name = userName()) => createUser(executor, profile, name),
    login: (user, name = "orders") => open(user, name),
    superuserClient: () => open({ name: server.superuser, password: server.password }, "orders"),
    log: () => readFile(server.serverLog, "utf8"),
    async stop() {
      await Promise.all([...clients].map((client) => client.end().catch(() => {})));
      await executor.close();
      await server.stop();
    },
  };
  try {
    await fixture.superuser("CREATE DATABASE orders", "postgres");
    await fixture.superuser(schemaSql);
    await setUp(fixture);
    return fixture;
  } catch (error) {
    await fixture.stop();
    throw error;
  }
}

/** Runs our own script as the DBA would; it may be run twice. */
export async function setUp(fixture: Fixture): Promise<void> {
  const adminVerifier = await verifierOf(fixture.database.admin.password.reveal());
  const options = { gatewayAddresses: ["127.0.0.1"], adminVerifier };
  const script = postgresEngine.setupSql(fixture.database, options);
  await fixture.superuser(script);
}

export async function verifierOf(password: string): Promise<string> {
  return await buildVerifier(scramCrypto, password, randomBytes(16), 4096);
}

export function databaseConfig(
  server: Pick<RunningPostgres, "host" | "port">,
  password: Secret,
): DatabaseConfig {
  const profiles = (["read-only", "read-write", "admin"] as const).map(profileConfig);
  return {
    name: "prod-orders",
    engine: "postgres",
    host: server.host,
    port: server.port,
    database: "orders",
    tls: { mode: "disable" },
    admin: { user: "jitdb_admin", password },
    labels: {},
    profiles: new Map(profiles.map((profile) => [profile.name, profile])),
  };
}

function profileConfig(privileges: Privileges): ProfileConfig {
  return {
    name: privileges,
    description: privileges,
    group: `jitdb_orders_${privileges.replace("-", "_")}`,
    schemas: ["app"],
    privileges,
    allowPrivileges: [],
    leftovers: "keep",
  };
}

export function userName(installation = "test"): string {
  const random = randomBytes(13);
  const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
  return `jit_${installation}_alice_${Array.from(random, (byte) => alphabet[byte & 31]).join("")}`;
}

async function createUser(executor: Executor, profile: string, name: string): Promise<TestUser> {
  const password = randomBytes(24).toString("base64url");
  const verifier = await verifierOf(password);
  const { oid } = await executor.create({ name, profile, verifier, validForMs: 600_000 });
  return { name, oid, profile, password };
}

export async function connect(
  server: Pick<RunningPostgres, "host" | "port">,
  user: Login,
  database: string,
): Promise<pg.Client> {
  const client = new pg.Client({
    host: server.host,
    port: server.port,
    user: user.name,
    password: user.password,
    database,
  });
  // A terminated session says so here, too; tests look at the query that fails or at `end`.
  client.on("error", () => {});
  await client.connect();
  return client;
}

/** Runs statements on a connection of their own; the rows of the last one. */
export async function query(connectionString: string, sql: string): Promise<unknown[][]> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    const result = await client.query<unknown[]>({ text: sql, rowMode: "array" });
    const last = Array.isArray(result) ? result.at(-1) : result;
    return last.rows;
  } finally {
    await client.end();
  }
}

/** SQLSTATE that a statement is refused with. */
export async function sqlstateOf(attempt: Promise<unknown>): Promise<string | undefined> {
  try {
    await attempt;
    return undefined;
  } catch (error) {
    return error instanceof pg.DatabaseError ? error.code : String(error);
  }
}
