// jitdb-server try: from somebody's own database to a first query, on their own machine, with nothing written but one folder.

import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { userInfo } from "node:os";
import { dirname, isAbsolute, join } from "node:path";
import { JitdbError } from "@jitdb/shared/errors";
import { randomBase32 } from "@jitdb/shared/ids";
import { buildVerifier, scramSaltBytes } from "@jitdb/shared/postgres/scram/verifier";
import { Secret } from "@jitdb/shared/secret";
import type { Command } from "commander";
import { stringify } from "yaml";
import type { DatabaseConfig } from "../config/config.ts";
import { engineOf } from "../engines/engines.ts";
import { scramCrypto } from "../engines/postgres/scram-crypto.ts";
import { administrators } from "../identity/caller.ts";
import { systemPorts } from "../system.ts";
import { ownAddresses } from "./database.ts";
import { createInstallation, type Installation, shownPath } from "./installation.ts";
import { launch, runUntilSignal } from "./start.ts";
import { parseTarget, type Survey, surveyDatabase, type Target } from "./survey.ts";
import type { Terminal } from "./terminal.ts";

const preferredPort = 7480;
const passwordFile = "admin.password";
const setupFile = "jitdb-setup.sql";
/** What PostgreSQL uses for verifiers that it makes itself. */
const scramIterations = 4096;

interface TryOptions {
  readonly folder: string;
  readonly admin?: string;
  readonly port?: string;
}

export function defineTry(command: Command, terminal: Terminal): void {
  command
    .argument("<postgres-url>")
    .option("--folder <folder>", "where to write", "jitdb-try")
    .option("--admin <name>", "your name in jitdb (default: your name on this machine)")
    .option("--port <port>", `port to listen on (default: ${preferredPort}, or a free one)`)
    .action((url: string, options: TryOptions) => tryOut(url, options, terminal));
}

async function tryOut(url: string, options: TryOptions, terminal: Terminal): Promise<void> {
  const target = parseTarget(url);
  const survey = await surveyDatabase(target);
  const name = slug(target.database, "database");
  const admin = options.admin ?? slug(userInfo().username, "admin");
  const port = options.port ?? (await freePort());
  const installation = await install(target, survey, { name, admin, port, options });
  tellFindings(survey, terminal);
  const server = await launch(installation.configFile, terminal);
  await runUntilSignal(server, terminal, () =>
    tellNext(installation, target, name, server.url, terminal),
  );
}

async function install(
  target: Target,
  survey: Survey,
  { name, admin, port, options }: Choices,
): Promise<Installation> {
  const ports = systemPorts();
  const password = randomBase32(ports.random, 32);
  const installation = await createInstallation(
    {
      folder: options.folder,
      template: {
        listen: `127.0.0.1:${port}`,
        confirmDevices: "loopback",
        sections: sections(name, target, survey),
      },
      admin: { name: admin },
      files: { [passwordFile]: new Secret(`${password}\n`) },
    },
    ports,
  );
  const database = installation.config.databases.get(name);
  if (database === undefined) {
    throw new JitdbError("internal", `The configuration lacks the database ${name}.`);
  }
  const salt = ports.random.bytes(scramSaltBytes);
  const sql = engineOf(database).setupSql(database, {
    gatewayAddresses: gatewayAddresses(database, survey),
    adminVerifier: await buildVerifier(scramCrypto, password, salt, scramIterations),
  });
  writeFileSync(join(dirname(installation.configFile), setupFile), sql, { mode: 0o600 });
  return installation;
}

interface Choices {
  readonly name: string;
  readonly admin: string;
  readonly port: string;
  readonly options: TryOptions;
}

function gatewayAddresses(database: DatabaseConfig, { ownAddress }: Survey): string[] {
  const known = ownAddresses(database);
  return ownAddress === undefined || known.some((range) => range.startsWith(`${ownAddress}/`))
    ? known
    : [ownAddress];
}

/** SECURITY: nothing of the URL's own password comes in here; jitdb's admin role has one of its own. */
function sections(name: string, target: Target, survey: Survey): string {
  const { host, port, database, ca } = target;
  const tls = { mode: survey.tlsMode, ...(ca !== undefined && { ca }) };
  return stringify({
    databases: {
      [name]: {
        host,
        port,
        database,
        ...(!isAbsolute(host) && { tls }),
        admin: { user: "jitdb_admin", password: `\${file:${passwordFile}}` },
        schemas: survey.schemas,
        profiles: { "read-only": {}, "read-write": {} },
      },
    },
    policies: [
      {
        name: "try",
        who: { groups: [administrators] },
        databases: [name],
        profiles: ["read-only", "read-write"],
        maxDuration: "1h",
        approval: "automatic",
      },
    ],
  });
}

function tellFindings({ notLoggedIn, schemas, tlsMode }: Survey, terminal: Terminal): void {
  if (notLoggedIn !== undefined) {
    terminal.say(`Could not log in to look for schemas (${notLoggedIn}).`);
    terminal.say(`Took "public"; change "schemas" in jitdb.yaml if your tables are elsewhere.`);
  } else {
    terminal.say(`Schemas: ${schemas.join(", ")}.`);
  }
  if (tlsMode === "require") {
    terminal.say("The database's certificate is not verified; see tls in jitdb.yaml.");
  }
}

function tellNext(
  { configFile, link }: Installation,
  target: Target,
  name: string,
  url: string,
  terminal: Terminal,
): void {
  const setup = shownPath(join(dirname(configFile), setupFile));
  terminal.print(`Ready: ${url}. It runs until Ctrl-C; go on in another terminal.

1. As a superuser of the database, once:
     psql ${shellQuote(target.shownUrl)} -v ON_ERROR_STOP=1 -f ${shellQuote(setup)}
     Its last lines say what pg_hba.conf needs, if users are let in by trust or peer there.
2. Choose your password in a browser:
     ${link?.url}
3. Log in:
     jitdb login ${url}
4. Ask for access, which you get at once:
     jitdb request ${name} --for 30m
5. Use it:
     jitdb psql ${name}

Start it again later with: jitdb-server start --config ${shellQuote(shownPath(configFile))}`);
}

/** A name that jitdb takes, as close as possible to a name that somebody else gave. */
function slug(text: string, fallback: string): string {
  const name = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, "-")
    .replace(/^[^a-z0-9]+/, "")
    .slice(0, 40);
  return name === "" ? fallback : name;
}

async function freePort(): Promise<string> {
  return String((await tryPort(preferredPort)) ?? (await tryPort(0)) ?? preferredPort);
}

/** The port, if it could be listened on just now; 0 asks for any. */
async function tryPort(port: number): Promise<number | undefined> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.once("error", () => resolve(undefined));
    server.listen(port, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? address?.port : undefined));
    });
  });
}

function shellQuote(text: string): string {
  return /^[\w./:@=-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
