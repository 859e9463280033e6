// A whole jitdb as people run it: a real PostgreSQL with the sample database, a real server, people with homes of their own,
// who log in through the served pages.

import { cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildVerifier } from "@jitdb/shared/postgres/scram/verifier";
import pg from "pg";
import { scramCrypto } from "../../packages/server/src/engines/postgres/scram-crypto.ts";
import { createAuthority } from "./certificates.ts";
import { ordersSql } from "./orders.ts";
import { Person } from "./person.ts";
import { type PostgresVersion, type RunningPostgres, startPostgres } from "./postgres.ts";
import {
  type Child,
  type ProgramOptions,
  runProgram,
  startProgram,
  waitForOutput,
} from "./programs.ts";
import { madeOnce } from "./templates.ts";

export interface InstallationOptions {
  readonly postgres: PostgresVersion;
  /** An empty folder for everything; default: a new one. Removed at the end. */
  readonly folder?: string;
  readonly postgresSettings?: Readonly<Record<string, string>>;
  /** YAML of the `policies:` list; default: read-only automatically for developers, read-write by one of the DBAs. */
  readonly policies?: string;
  /** Further sections of jitdb.yaml, such as `identity:`; policies may speak of what is in them. */
  readonly sections?: string;
  /** False: the database has the sessions that clients have, and no others. */
  readonly spareSessions?: boolean;
  /** Whether the server speaks TLS, with a certificate of an authority that its people's programs trust. */
  readonly tls?: true;
  /** Default: `approval`. */
  readonly confirmDevices?: "approval" | "loopback";
  /** What it is a copy of, as `keepAs` left it; default: one without people. `none`: it shares its keys and names with no other one. */
  readonly template?: string | "none" | undefined;
}

/** What an installation leaves that is kept: its database, and everybody's home, the server's too. */
const clusterFolder = "cluster";
const homesFolder = "homes";

/** Who decides in the policies of the tests. */
const approverGroups: readonly string[] = ["dba", "admins"];

const adminPassword = "the throwaway admin password";

export const defaultPolicies = `
  - name: developers-read
    who: { groups: [developers] }
    databases: ["prod-*"]
    profiles: [read-only]
    maxDuration: 1h
    approval: automatic
  - name: developers-write
    who: { groups: [developers] }
    databases: [prod-orders]
    profiles: [read-write]
    maxDuration: 30m
    approval: { count: 1, groups: [dba] }
`;

/** A running installation. Whoever started it calls `stop` on every path. */
export class Installation {
  readonly folder: string;
  readonly postgres: RunningPostgres;
  readonly url: string;
  readonly #serverHome: string;
  /** Variables of what people run. */
  readonly #trust: Readonly<Record<string, string>>;
  #server: Child | undefined;
  #serverLog = "";

  constructor(folder: string, postgres: RunningPostgres, url: string) {
    this.folder = folder;
    this.postgres = postgres;
    this.url = url;
    this.#serverHome = join(folder, "server");
    this.#trust = url.startsWith("https:")
      ? { NODE_EXTRA_CA_CERTS: join(this.#serverHome, authorityFile) }
      : {};
  }

  get serverFolder(): string {
    return this.#serverHome;
  }

  /** What the server has written on stderr, over all of its starts. */
  get serverLog(): string {
    return this.#serverLog;
  }

  get serverPid(): number | undefined {
    return this.#server?.pid;
  }

  /** Runs `jitdb-server …` in the server's folder, which has to end well, and gives what it printed. */
  async serverCommand(args: readonly string[], input = ""): Promise<string> {
    const { exitCode, stdout, stderr } = await runProgram("jitdb-server", args, {
      home: this.#serverHome,
      input,
    });
    if (exitCode !== 0) {
      throw new Error(`jitdb-server ${args.join(" ")} ended with ${exitCode}:\n${stdout}${stderr}`);
    }
    return stdout;
  }

  /** Starts the server, and waits until it is ready. */
  async startServer(options: Pick<ProgramOptions, "env" | "entry"> = {}): Promise<void> {
    this.#server = startProgram("jitdb-server", ["start"], { home: this.#serverHome, ...options });
    this.#server.stderr?.on("data", (chunk) => {
      this.#serverLog += String(chunk);
    });
    await waitForOutput(this.#server, "stdout", /^Ready: /m);
  }

  /** Ends the server as a crash would. */
  async killServer(): Promise<void> {
    this.#server?.kill("SIGKILL");
    await this.#server;
  }

  /** Ends the server as an operator would. */
  async stopServer(): Promise<void> {
    this.#server?.kill("SIGTERM");
    await this.#server;
  }

  /** Somebody who was added before. */
  person(name: string): Person {
    return new Person(name, join(this.folder, name), `${name} likes long passwords`, this.#trust);
  }

  /** What people's programs know of the server, when it is at another address than where they logged in. */
  async moveLogins(names: readonly string[]): Promise<void> {
    for (const name of names) {
      for (const file of ["credentials.json", "servers.json"]) {
        const path = join(this.folder, name, ".jitdb", file);
        const written = await readFile(path, "utf8");
        await writeFile(path, written.replaceAll(/http:\/\/127\.0\.0\.1:\d+/g, this.url));
      }
    }
  }

  /** Adds a person and lets them choose a password behind the set-up link. */
  async addPerson(name: string, groups: readonly string[]): Promise<Person> {
    const added = await this.serverCommand(["users", "add", name, "--groups", ...groups]);
    const person = this.person(name);
    await mkdir(person.home, { mode: 0o700 });
    const page = await person.browser.open(added.trim());
    const { password } = person;
    const done = await person.browser.press(page, /^Set password$/, { password, repeat: password });
    if (done.status !== 200) {
      throw new Error(`The set-up page answered ${done.status}: ${done.text}`);
    }
    return person;
  }

  /**
   * The same, logged in from a device of their own. Approvers' devices are confirmed by the operator, as nobody decides
   * from another one; requesters' are not, unless the test says so.
   */
  async addLoggedIn(
    name: string,
    groups: readonly string[],
    { confirmed = groups.some((group) => approverGroups.includes(group)) } = {},
  ): Promise<Person> {
    const person = await this.addPerson(name, groups);
    const { exitCode, stderr } = await person.login(this.url);
    if (exitCode !== 0) {
      throw new Error(`jitdb login ended with ${exitCode}: ${stderr}`);
    }
    if (confirmed) {
      await this.confirmDevice(name);
    }
    return person;
  }

  /** What the operator does at the server for the one device of a person that nobody vouched for. */
  async confirmDevice(name: string): Promise<void> {
    await this.serverCommand(["devices", "confirm", name]);
  }

  /** Queries the database past jitdb, as the superuser. */
  async asSuperuser<Row extends pg.QueryResultRow>(
    sql: string,
    values: unknown[] = [],
  ): Promise<Row[]> {
    return await withSuperuser(this.postgres, "orders", async (client) => {
      const { rows } = await client.query<Row>(sql, values);
      return rows;
    });
  }

  /** Names of the ephemeral users that the database has. */
  async ephemeralUsers(): Promise<string[]> {
    const rows = await this.asSuperuser<{ rolname: string }>(
      "SELECT rolname FROM pg_roles WHERE rolname LIKE 'jit\\_%' ORDER BY 1",
    );
    return rows.map(({ rolname }) => rolname);
  }

  /** Stops all of it, and keeps what it is made of in a folder that other installations can be copied from. */
  async keepAs(folder: string): Promise<void> {
    await this.stopServer();
    await this.postgres.keepAs(join(folder, clusterFolder));
    await rename(this.folder, join(folder, homesFolder));
  }

  async stop(): Promise<void> {
    await this.stopServer();
    await this.postgres.stop();
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Everything up to a server that is not started yet: PostgreSQL with orders, the admin role, the configuration. */
export async function createInstallation(options: InstallationOptions): Promise<Installation> {
  const template = options.template ?? (await preparedInstallation(options.postgres));
  const original = template === "none" ? undefined : template;
  const installation = await layOut(options, original);
  try {
    await configure(installation, options);
    if (original === undefined) {
      await createOrders(installation.postgres);
      await prepareDatabase(installation);
    }
    return installation;
  } catch (error) {
    await installation.stop();
    throw error;
  }
}

/** An installation whose server was never started. */
async function preparedInstallation(postgres: PostgresVersion): Promise<string | undefined> {
  return await madeOnce(`installation-${postgres}`, async (folder) => {
    const installation = await createInstallation({ postgres, template: "none" });
    await installation.keepAs(folder);
  });
}

/** A running PostgreSQL, and the server's folder behind `jitdb-server init`. */
async function layOut(
  options: InstallationOptions,
  original: string | undefined,
): Promise<Installation> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), "jitdb-")));
  const postgres = await startPostgres({
    version: options.postgres,
    folder,
    ...(options.postgresSettings === undefined ? {} : { settings: options.postgresSettings }),
    ...(original === undefined ? {} : { cluster: join(original, clusterFolder) }),
  });
  try {
    const url = `${options.tls ? "https://localhost" : "http://127.0.0.1"}:${await freePort()}`;
    const installation = new Installation(folder, postgres, url);
    const { serverFolder } = installation;
    if (original === undefined) {
      await mkdir(serverFolder, { mode: 0o700 });
      const init = ["init", "--admin", "root", "--admin-password-stdin", "--listen", listenOf(url)];
      await installation.serverCommand([...init, "--public-url", url], adminPassword);
    } else {
      await cp(join(original, homesFolder), folder, { recursive: true });
    }
    return installation;
  } catch (error) {
    await postgres.stop();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** The same with a running server. */
export async function startInstallation(options: InstallationOptions): Promise<Installation> {
  const installation = await createInstallation(options);
  try {
    await installation.startServer();
    return installation;
  } catch (error) {
    await installation.stop();
    throw error;
  }
}

/** The `databases:` section for the sample database. */
export function ordersConfig(
  postgres: Pick<RunningPostgres, "host" | "port">,
  { spareSessions = true }: Pick<InstallationOptions, "spareSessions"> = {},
): string {
  return `databases:
  prod-orders:
    host: ${postgres.host}
    port: ${postgres.port}
    database: orders
    tls: { mode: disable }
    admin:
      user: jitdb_admin
      password: \${file:orders.password}
    labels: { env: production }
${spareSessions ? "" : "    spareSessions: false\n"}    schemas: [app]
    profiles:
      read-only:
      read-write:
`;
}

async function createOrders(postgres: RunningPostgres): Promise<void> {
  await withSuperuser(postgres, "postgres", (client) => client.query("CREATE DATABASE orders"));
  await withSuperuser(postgres, "orders", (client) => client.query(ordersSql));
}

async function configure(installation: Installation, options: InstallationOptions): Promise<void> {
  const { serverFolder, url, postgres } = installation;
  await writeFile(join(serverFolder, "orders.password"), adminPassword, { mode: 0o600 });
  if (options.tls) {
    await certify(serverFolder);
  }
  const file = join(serverFolder, "jitdb.yaml");
  const written = await readFile(file, "utf8");
  const head = written
    .slice(0, written.search(/^(?:# A database, its admin role|databases:)/m))
    .replace(/^listen: .*$/m, `listen: ${listenOf(url)}`)
    .replace(/^publicUrl: .*$/m, `publicUrl: ${url}`)
    .replace("confirm: approval", `confirm: ${options.confirmDevices ?? "approval"}`);
  const policies = options.policies ?? defaultPolicies;
  await writeFile(
    file,
    `${head}${options.tls ? tlsSection : ""}${ordersConfig(postgres, options)}policies:${policies}${options.sections ?? ""}`,
  );
}

function listenOf(url: string): string {
  return `127.0.0.1:${new URL(url).port}`;
}

/** In the server's folder. */
const authorityFile = "authority.crt";
const tlsSection = "tls: { cert: tls.crt, key: tls.key }\n";

async function certify(serverFolder: string): Promise<void> {
  const authority = await createAuthority("jitdb test authority");
  try {
    const { cert, key } = await authority.issue("localhost");
    await writeFile(join(serverFolder, "tls.crt"), cert);
    await writeFile(join(serverFolder, "tls.key"), key, { mode: 0o600 });
    await writeFile(join(serverFolder, authorityFile), authority.cert);
    // The browser of this process learns of no authority later than its start.
    process.env["NODE_TLS_REJECT_UNAUTHORIZED"] = "0";
  } finally {
    await authority.remove();
  }
}

/** The DBA's part: runs what `database sql` prints, and gives the admin role its password as psql's \password would. */
export async function prepareDatabase(installation: Installation): Promise<void> {
  const printed = await installation.serverCommand(["database", "sql", "prod-orders"]);
  const sql = printed.replaceAll(/^\\.*$/gm, "");
  const salt = scramCrypto.randomBytes(16);
  const verifier = await buildVerifier(scramCrypto, adminPassword, salt, 4096);
  await withSuperuser(installation.postgres, "orders", async (client) => {
    await client.query(sql);
    await client.query(`ALTER ROLE jitdb_admin PASSWORD '${verifier}'`);
  });
}

async function withSuperuser<T>(
  postgres: RunningPostgres,
  database: string,
  work: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const client = new pg.Client({ connectionString: postgres.url(database) });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** A port of 127.0.0.1 that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") {
    throw new Error("No free port.");
  }
  return address.port;
}
