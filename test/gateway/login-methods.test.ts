// Logins besides plain SCRAM, on real servers whose pg_hba.conf asks for them: client certificates, MD5, clear text (invariant 17).

import { createHash } from "node:crypto";
import { chown, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type {
  ClientCertificate,
  DatabaseTlsConfig,
  LoginMethod,
} from "../../packages/server/src/config/config.ts";
import { scramCrypto } from "../../packages/server/src/engines/postgres/scram-crypto.ts";
import { logIn } from "../../packages/server/src/engines/postgres/session/login.ts";
import { ScramKeyCache } from "../../packages/server/src/engines/postgres/session/scram-keys.ts";
import { parseBackendKeyData } from "../../packages/shared/src/postgres/backend.ts";
import { encodeQuery } from "../../packages/shared/src/postgres/encoder.ts";
import { backendMessages } from "../../packages/shared/src/postgres/messages.ts";
import {
  encodeCancelRequest,
  protocolVersions,
} from "../../packages/shared/src/postgres/startup.ts";
import { Secret } from "../../packages/shared/src/secret.ts";
import { type Authority, type Certificate, createAuthority } from "../support/certificates.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { testedVersions } from "../support/versions.ts";
import { createRig, type Rig } from "./rig.ts";
import { WireClient } from "./wire-client.ts";

const password = "the user's canary password";

const hostAccess = `
host    all postgres     127.0.0.1/32 scram-sha-256
host    all jit_scram    127.0.0.1/32 scram-sha-256
host    all jit_md5      127.0.0.1/32 md5
host    all jit_clear    127.0.0.1/32 password
hostssl all jit_nobody   127.0.0.1/32 cert map=gateway
hostssl all jit_certified 127.0.0.1/32 scram-sha-256 clientcert=verify-ca
`;

/** Lets the server speak TLS with a certificate of the authority, and ask for logins as these tests want them. */
async function configure(
  { dataFolder, serverLog, ...postgres }: RunningPostgres,
  authority: Authority,
  { cert, key }: Certificate,
): Promise<void> {
  const { uid, gid } = await stat(dataFolder);
  for (const [name, text] of [
    ["server.crt", cert],
    ["server.key", key],
    ["ca.crt", authority.cert],
    ["pg_hba.conf", hostAccess],
    ["pg_ident.conf", "gateway jitdb-gateway jit_nobody\n"],
  ] as const) {
    await writeFile(join(dataFolder, name), text, { mode: 0o600 });
    await chown(join(dataFolder, name), uid, gid);
  }
  const settings = "ssl_ca_file = 'ca.crt'\nssl = on\n";
  await writeFile(join(dataFolder, "postgresql.auto.conf"), settings, { flag: "a" });
  postgres.reload();
  while (!(await readFile(serverLog, "utf8")).includes('parameter "ssl" changed to "on"')) {
    // The postmaster reads it in its own time.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const md5 = (text: string) => createHash("md5").update(text).digest("hex");

describe.each(testedVersions)("a login to the %s PostgreSQL", (version) => {
  let authority: Authority;
  let client: ClientCertificate;
  let stranger: ClientCertificate;
  let postgres: RunningPostgres;
  const rigs: Rig[] = [];
  beforeAll(async () => {
    authority = await createAuthority("the company's");
    const other = await createAuthority("somebody's");
    const [own, foreign] = [
      await authority.issue("jitdb-gateway"),
      await other.issue("jitdb-gateway"),
    ];
    await other.remove();
    client = { cert: own.cert, key: new Secret(own.key) };
    stranger = { cert: foreign.cert, key: new Secret(foreign.key) };
    postgres = await startPostgres({ version });
    await configure(postgres, authority, await authority.issue("localhost"));
    const rig = await createRig(postgres);
    for (const name of ["jit_scram", "jit_clear", "jit_nobody", "jit_certified"]) {
      await rig.superuser(`create role ${name} login password '${password.replace("'", "''")}'`);
    }
    await rig.superuser(`create role jit_md5 login password 'md5${md5(`${password}jit_md5`)}'`);
    await rig.close();
  });
  afterAll(async () => {
    await postgres?.stop();
    await authority?.remove();
  });
  afterEach(async () => {
    await Promise.all(rigs.splice(0).map((rig) => rig.close()));
  });

  interface Configured {
    readonly allow?: readonly LoginMethod[];
    readonly mode?: DatabaseTlsConfig["mode"];
    readonly certificate?: "ours" | "somebody's";
  }

  function databaseOf({ allow = [], mode = "verify-full", certificate }: Configured) {
    const certificates = { ours: client, "somebody's": stranger };
    const tls: DatabaseTlsConfig = {
      mode,
      ...(mode === "verify-full" && { ca: authority.cert }),
      ...(certificate && { client: certificates[certificate] }),
    };
    return { name: "prod-orders", host: "localhost", tls, allowedLogins: allow };
  }

  async function open(userName: string, configured: Configured) {
    const rig = await createRig(postgres, { database: databaseOf(configured) });
    rigs.push(rig);
    const grant = await rig.grant("alice");
    rig.setUser(grant, {
      state: "created",
      userName,
      password: new Secret(password),
      generation: 1,
      proven: Promise.resolve(),
    });
    const agent = await rig.agent("alice");
    return { rig, grant, agent, session: await WireClient.open(agent, grant) };
  }

  test.each<[string, string, Configured]>([
    ["SCRAM, under verified TLS", "jit_scram", {}],
    ["MD5, where it is allowed", "jit_md5", { allow: ["md5"] }],
    [
      "MD5, where it is allowed and nobody looks at the certificate",
      "jit_md5",
      { allow: ["md5"], mode: "require" },
    ],
    ["clear text, where it is allowed", "jit_clear", { allow: ["password"] }],
    [
      "a certificate alone, where it is allowed",
      "jit_nobody",
      { allow: ["certificate"], certificate: "ours" },
    ],
    ["SCRAM behind a certificate", "jit_certified", { certificate: "ours" }],
  ])("by %s", async (_, userName, configured) => {
    const { session } = await open(userName, configured);
    expect(
      (
        await session.query(
          "select current_user, ssl from pg_stat_ssl where pid = pg_backend_pid()",
        )
      ).rows,
    ).toEqual([[userName, "t"]]);
  });

  test.each<[string, string, Configured]>([
    ["MD5, unless it is allowed", "jit_md5", {}],
    ["MD5, where only clear text is allowed", "jit_md5", { allow: ["password"] }],
    ["MD5 without TLS, whatever is allowed", "jit_md5", { allow: ["md5"], mode: "disable" }],
    ["clear text, unless it is allowed", "jit_clear", {}],
    ["clear text, where only MD5 is allowed", "jit_clear", { allow: ["md5"] }],
    [
      "clear text without TLS, whatever is allowed",
      "jit_clear",
      { allow: ["password"], mode: "disable" },
    ],
    ["no password, unless a certificate alone is allowed", "jit_nobody", { certificate: "ours" }],
  ])("is not made by %s, and no password is sent", async (_, userName, configured) => {
    await expect(open(userName, configured)).rejects.toMatchObject({ code: "postgres.auth" });
    const log = await readFile(postgres.serverLog, "utf8");
    expect(log).not.toContain("canary");
    expect(log).not.toMatch(/password authentication failed/);
  });

  test.each<[string, string, Configured, string]>([
    ["no certificate", "jit_certified", {}, "postgres.auth"],
    ["no certificate", "jit_nobody", { allow: ["certificate"] }, "postgres.auth"],
    [
      "a certificate of somebody's",
      "jit_certified",
      { certificate: "somebody's" },
      "database.unavailable",
    ],
  ])("is refused by the server with %s for %s", async (_, userName, configured, code) => {
    await expect(open(userName, configured)).rejects.toMatchObject({ code });
  });

  test("cancels behind the same certificate", async () => {
    const { rig, session, agent, grant } = await open("jit_certified", { certificate: "ours" });
    await session.send(encodeQuery("select pg_sleep(60)"));
    await rig.asleep();
    const key = session.greeting.find(({ type }) => type === backendMessages.BackendKeyData);
    const packet = encodeCancelRequest(parseBackendKeyData(key?.body ?? new Uint8Array(0)));
    expect(await agent.open("cancel", grant, packet).untilEnded()).toBeUndefined();
    expect((await session.result()).error).toMatchObject({ code: "57014" });
  });

  test("derives the keys of a user once for fifty sessions", async () => {
    let derivations = 0;
    const keys = new ScramKeyCache({
      ...scramCrypto,
      pbkdf2Sha256: (...derivation) => {
        derivations += 1;
        return scramCrypto.pbkdf2Sha256(...derivation);
      },
    });
    const logInOnce = async () => {
      const { connection } = await logIn({
        database: {
          ...databaseOf({ mode: "disable" }),
          port: postgres.port,
          database: "postgres",
        },
        user: { name: "jit_scram", password: new Secret(password) },
        version: protocolVersions.v3_0,
        settings: [],
        keys,
        signal: AbortSignal.timeout(10_000),
      });
      connection.socket.destroy();
    };
    // Some at once, which have to share the first derivation, and the others behind them.
    await Promise.all(Array.from({ length: 10 }, logInOnce));
    for (let count = 10; count < 50; count += 1) {
      await logInOnce();
    }
    expect(derivations).toBe(1);
  });
});
