// The login to a database: TLS as configured, and servers that are not what they seem (invariants 13, 17, 18).

import { execFile } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { DatabaseConfig } from "../../packages/server/src/config/config.ts";
import { connectToServer } from "../../packages/server/src/engines/postgres/session/connection.ts";
import {
  encodeAuthenticationOk,
  encodeAuthenticationSasl,
  encodeAuthenticationSaslContinue,
  encodeAuthenticationSaslFinal,
  encodeNegotiateProtocolVersion,
} from "../../packages/shared/src/postgres/encoder.ts";
import { backendMessages } from "../../packages/shared/src/postgres/messages.ts";
import { protocolVersions } from "../../packages/shared/src/postgres/startup.ts";
import { cstring, encodeMessage, int32, uint8 } from "../../packages/shared/src/postgres/writer.ts";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { testedVersions } from "../support/versions.ts";
import { createRig, type Rig } from "./rig.ts";
import { startUp, WireClient } from "./wire-client.ts";

const run = promisify(execFile);
const rigs: Rig[] = [];
afterEach(async () => {
  await Promise.all(rigs.splice(0).map((rig) => rig.close()));
});

async function rigFor(postgres: RunningPostgres, database: Partial<DatabaseConfig>): Promise<Rig> {
  const rig = await createRig(postgres, { database });
  rigs.push(rig);
  return rig;
}

async function open(rig: Rig): Promise<WireClient> {
  const grant = await rig.grant("alice");
  return WireClient.open(await rig.agent("alice"), grant);
}

describe.each(testedVersions)("a login to the %s PostgreSQL", (version) => {
  let postgres: RunningPostgres;
  let ca: string;
  beforeAll(async () => {
    postgres = await startPostgres({ version });
    ca = await turnOnTls(postgres);
  });
  afterAll(() => postgres.stop());
  const encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";

  test.each([
    ["disable", "127.0.0.1", false, "f"],
    ["require", "127.0.0.1", false, "t"],
    ["verify-ca", "127.0.0.1", true, "t"],
    ["verify-full", "localhost", true, "t"],
  ] as const)("with TLS mode %s on %s", async (mode, host, hasCa, isEncrypted) => {
    const rig = await rigFor(postgres, { host, tls: hasCa ? { mode, ca } : { mode } });
    const client = await open(rig);
    expect((await client.query(encrypted)).rows).toEqual([[isEncrypted]]);
    const pid = rig.gateway.sessions()[0]?.backendPid;
    client.stream.agent.ws.close(1000);
    await rig.recorded("session.closed");
    expect(pid).toBeGreaterThan(0);
  });

  test("is refused through somebody in the middle, since it is bound to the server's certificate (invariant 17)", async () => {
    const folder = await mkdtemp(join(tmpdir(), "jitdb-middle-"));
    const [key, cert] = await makeCertificate(folder);
    const sent: Buffer[] = [];
    const middle = createServer((socket) => {
      socket.once("data", () => {
        socket.write("S");
        const options = { isServer: true, key, cert };
        const client = new TLSSocket(socket, options);
        const target = { ...postgres, name: "", tls: { mode: "require" } } as const;
        void relayTls(client, target, (bytes) => sent.push(bytes));
      });
    });
    middle.listen(0, "127.0.0.1");
    await once(middle, "listening");
    try {
      const { port } = middle.address() as AddressInfo;
      const rig = await rigFor(postgres, { port, tls: { mode: "require" } });
      await expect(open(rig)).rejects.toMatchObject({ code: "postgres.auth" });
      expect(Buffer.concat(sent).toString("latin1")).toContain("SCRAM-SHA-256-PLUS\0");
      expect(await readFile(postgres.serverLog, "utf8")).toContain(
        "SCRAM channel binding check failed",
      );
    } finally {
      middle.close();
      await rm(folder, { recursive: true });
    }
  });

  test("through the server's Unix socket", async () => {
    const rig = await rigFor(postgres, {
      host: postgres.socketFolder,
      tls: { mode: "verify-full" },
    });
    const client = await open(rig);
    expect((await client.query("select inet_server_addr() is null")).rows).toEqual([["t"]]);
  });

  test.each([
    ["an authority that is not the configured one", "verify-ca", "127.0.0.1"],
    ["a name that is not in the certificate", "verify-full", "127.0.0.1"],
  ] as const)("is refused for %s", async (_, mode, host) => {
    const wrongCa = mode === "verify-ca" ? undefined : ca;
    const rig = await rigFor(postgres, {
      host,
      tls: wrongCa === undefined ? { mode } : { mode, ca: wrongCa },
    });
    await expect(open(rig)).rejects.toMatchObject({ code: "database.misconfigured" });
  });

  test.each([
    ["a wrong password", "alter role USER password 'another'", "database.password"],
    ["a user that is gone", "drop role USER", "database.password"],
    ["a user that is locked", "alter role USER nologin", "postgres.auth"],
    [
      "a user that may not connect",
      "revoke connect on database postgres from public",
      "database.misconfigured",
    ],
    ["no place for another session", "alter role USER connection limit 0", "limit.reached"],
  ])("is refused for %s, without names (invariant 18)", async (_, sql, code) => {
    const rig = await rigFor(postgres, {});
    const grant = await rig.grant("alice");
    const { userName, password } = rig.userOf(grant);
    await rig.superuser(sql.replace("USER", userName));
    const agent = await rig.agent("alice");
    const opened = agent.open("session", grant, startUp()).opened();
    const refusal = await opened.catch((error: unknown) => error);
    await rig.superuser("grant connect on database postgres to public");
    expect(refusal).toMatchObject({ code });
    const shown = JSON.stringify([refusal, String(refusal)]);
    for (const canary of [password.reveal(), "canary_admin", postgres.host, userName]) {
      expect(shown).not.toContain(canary);
    }
    expect(rig.log.join("")).not.toContain(password.reveal());
  });

  test("says that the database is away, and where only in the log (invariant 18)", async () => {
    const rig = await rigFor(postgres, { host: "localhost.invalid" });
    const refusal = await open(rig).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "database.unavailable" });
    expect(String(refusal)).not.toContain("localhost");
    expect(rig.log.join("")).toContain("localhost.invalid");
  });

  test("waits for a user that is just being made, and not for ever", async () => {
    const rig = await rigFor(postgres, {});
    const grant = await rig.grant("alice");
    const user = rig.userOf(grant);
    let asked = 0;
    rig.setUser(grant, () => {
      asked += 1;
      return { ...user, state: asked < 4 ? "planned" : "created" };
    });
    const agent = await rig.agent("alice");
    await WireClient.open(agent, grant);
    expect(asked).toBe(4);
    rig.setUser(grant, { ...user, state: "planned" });
    const opening = () => agent.open("session", grant, startUp()).opened();
    await expect(opening()).rejects.toMatchObject({ code: "database.not_ready" });
    rig.setUser(grant, {
      ...user,
      state: "planned",
      problem: "canary_admin@10.0.0.1 is refused",
    });
    const refusal = await opening().catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: "database.unavailable" });
    expect(String(refusal)).not.toContain("canary");
  });

  test("gives a user that has set its own password another one, once for all that find out (invariant 42)", async () => {
    const rig = await rigFor(postgres, {});
    const grant = await rig.grant("alice");
    const user = rig.userOf(grant);
    const agent = await rig.agent("alice");
    const client = await WireClient.open(agent, grant);
    await client.query("alter role current_user password 'mine'");
    let renewals = 0;
    rig.setRenewPassword(async () => {
      renewals += 1;
      await rig.superuser(`alter role ${user.userName} password '${user.password.reveal()}'`);
    });
    const next = await WireClient.open(agent, grant);
    expect((await next.query("select 1")).rows).toEqual([["1"]]);
    await WireClient.open(agent, grant);
    expect(renewals).toBe(1);
    expect(rig.records("session.refused")).toEqual([]);
  });

  test("settles before its backend can be taken for a stranger's (invariant 42)", async () => {
    const rig = await rigFor(postgres, {});
    const grant = await rig.grant("alice");
    const agent = await rig.agent("alice");
    const stream = agent.open("session", grant, startUp());
    // As the sweep does it: the database first, then the logins, then the owned ones.
    for (;;) {
      const listed = await rig.superuser(
        `select pid from pg_stat_activity where usename = '${rig.userOf(grant).userName}'`,
      );
      await rig.gateway.loginsSettled(rig.databaseName);
      const owned = rig.gateway.ownedBackends(rig.databaseName);
      expect(owned).toEqual(expect.arrayContaining(listed.map(([pid]) => pid)));
      if (listed.length > 0) {
        break;
      }
    }
    await stream.opened();
  });

  test("is refused beyond the database's and the grant's numbers of sessions", async () => {
    const rig = await createRig(postgres, {
      database: { maxConnections: 2 },
      limits: { maxSessionsPerGrant: 1 },
    });
    rigs.push(rig);
    const agent = await rig.agent("alice");
    const [first, second, third] = [
      await rig.grant("alice"),
      await rig.grant("alice"),
      await rig.grant("alice"),
    ];
    const client = await WireClient.open(agent, first);
    await expect(WireClient.open(agent, first)).rejects.toMatchObject({ code: "limit.reached" });
    await WireClient.open(agent, second);
    await expect(WireClient.open(agent, third)).rejects.toMatchObject({ code: "limit.reached" });
    client.stream.close();
    await rig.recorded("session.closed");
    await WireClient.open(agent, third);
  });
});

async function relayTls(
  client: TLSSocket,
  target: Parameters<typeof connectToServer>[0],
  onSent: (bytes: Buffer) => void,
) {
  const { socket } = await connectToServer(target, AbortSignal.timeout(5000));
  for (const one of [client, socket]) {
    one.on("error", () => {
      client.destroy();
      socket.destroy();
    });
  }
  client.on("data", onSent);
  client.pipe(socket).pipe(client);
}

/** A key and a certificate for localhost, as PEM texts and as server.key and server.crt in the folder. */
async function makeCertificate(folder: string): Promise<[string, string]> {
  const [key, cert] = [join(folder, "server.key"), join(folder, "server.crt")];
  await run("openssl", [
    ...["req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=localhost"],
    ...["-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
  ]);
  const owner = await stat(folder);
  for (const file of [key, cert]) {
    await chmod(file, 0o600);
    await chown(file, owner.uid, owner.gid);
  }
  return [await readFile(key, "utf8"), await readFile(cert, "utf8")];
}

/** Lets the server speak TLS; gives the authority of its certificate, which is itself. */
async function turnOnTls(postgres: RunningPostgres): Promise<string> {
  const [, cert] = await makeCertificate(postgres.dataFolder);
  const configuration = join(postgres.dataFolder, "postgresql.auto.conf");
  await writeFile(configuration, "ssl = on\n", { flag: "a" });
  postgres.reload();
  // The postmaster reads it in its own time.
  for (;;) {
    const log = await readFile(postgres.serverLog, "utf8");
    if (log.includes('parameter "ssl" changed to "on"')) {
      return cert;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("a login to a server that is no honest PostgreSQL (invariants 13, 17)", () => {
  let postgres: RunningPostgres;
  const servers: Server[] = [];
  beforeAll(async () => {
    postgres = await startPostgres({ version: "system" });
  });
  afterAll(() => postgres.stop());
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.close();
    }
  });

  /** Everything that clients sent, in order. */
  const received: string[] = [];

  /** Answers the messages of a client one after the other. */
  async function fake(answers: readonly ((sent: Buffer) => Uint8Array)[]): Promise<number> {
    received.length = 0;
    const server = createServer((socket: Socket) => {
      const left = [...answers];
      socket.on("error", () => socket.destroy());
      socket.on("data", (sent) => {
        received.push(sent.toString("latin1"));
        const answer = left.shift();
        if (answer !== undefined) {
          socket.write(answer(sent));
        }
      });
    });
    servers.push(server);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  }

  const sasl = () => encodeAuthenticationSasl(["SCRAM-SHA-256"]);
  const serverFirst =
    (iterations: string, tail = "server") =>
    (sent: Buffer) => {
      const nonce = /r=([^,]+)/.exec(sent.toString("latin1"))?.[1] ?? "";
      const salt = Buffer.from("saltsaltsalt").toString("base64");
      return encodeAuthenticationSaslContinue(
        Buffer.from(`r=${nonce}${tail},s=${salt},i=${iterations}`),
      );
    };
  const request = (code: number, ...rest: Uint8Array[]) =>
    encodeMessage(backendMessages.Authentication, int32(code), rest);
  const wrongSignature = Buffer.from(`v=${Buffer.alloc(32).toString("base64")}`);

  test.each([
    ["asks for the password in the clear", [() => request(3)]],
    ["asks for an MD5 hash", [() => request(5, Buffer.from("salt"))]],
    ["asks for GSSAPI", [() => request(7)]],
    ["lets everybody in", [() => encodeAuthenticationOk()]],
    ["offers no SCRAM-SHA-256", [() => encodeAuthenticationSasl(["SCRAM-SHA-1"])]],
    ["asks for 2^31 iterations", [sasl, serverFirst("2147483648")]],
    ["asks for too few iterations", [sasl, serverFirst("1")]],
    ["sends an endless nonce", [sasl, serverFirst("4096", "x".repeat(2000))]],
    [
      "replays a nonce of another login",
      [sasl, () => encodeAuthenticationSaslContinue(Buffer.from("r=other,s=c2FsdA==,i=4096"))],
    ],
    [
      "proves nothing",
      [sasl, serverFirst("4096"), () => encodeAuthenticationSaslFinal(wrongSignature)],
    ],
    ["skips its proof", [sasl, serverFirst("4096"), () => encodeAuthenticationOk()]],
    [
      "negotiates a version that was asked for",
      [() => encodeNegotiateProtocolVersion(protocolVersions.v3_0, [])],
    ],
    [
      "negotiates a later version",
      [() => encodeNegotiateProtocolVersion(protocolVersions.v3_2, [])],
    ],
    [
      "knows of options that nobody asked for",
      [() => encodeNegotiateProtocolVersion(0x0002_0000, ["_pq_.x"])],
    ],
    [
      "negotiates behind the beginning of the authentication",
      [sasl, () => encodeNegotiateProtocolVersion(protocolVersions.v3_0, [])],
    ],
    ["begins the authentication twice", [sasl, sasl]],
    [
      "sends parameters before the login",
      [() => encodeMessage(backendMessages.ParameterStatus, cstring("a"), cstring("b"))],
    ],
  ] as const)("is broken off when it %s", async (_, answers) => {
    const rig = await rigFor(postgres, { port: await fake(answers) });
    await expect(open(rig)).rejects.toMatchObject({ code: "postgres.auth" });
    expect(received.join("")).not.toContain("canary-user");
    expect(rig.gateway.ownedBackends(rig.databaseName)).toEqual([]);
  });

  test.each([
    [
      "an error without a SQLSTATE",
      [
        () =>
          encodeMessage(
            backendMessages.ErrorResponse,
            Buffer.from("Mcanary of the server\0"),
            uint8(0),
          ),
      ],
    ],
    ["garbage", [() => Buffer.from("HTTP/1.1 400 Bad Request\r\n\r\n")]],
    ["a message that is announced as huge", [() => Buffer.from([0x52, 0x7f, 0xff, 0xff, 0xff])]],
  ] as const)("is refused when it sends %s", async (_, answers) => {
    const rig = await rigFor(postgres, { port: await fake(answers) });
    const refusal = await open(rig).catch((error: unknown) => error);
    expect(refusal).toMatchObject({ code: expect.stringMatching(/^(database|postgres)\./) });
    expect(String(refusal)).not.toContain("canary");
  });

  test.each([
    ["is refused when bytes stand behind its consent to TLS (invariant 13)", "SEvil"],
    ["is refused when it declines TLS", "N"],
  ])("%s", async (_, answer) => {
    const port = await fake([() => Buffer.from(answer)]);
    const rig = await rigFor(postgres, { port, tls: { mode: "require" } });
    await expect(open(rig)).rejects.toMatchObject({ code: "database.misconfigured" });
    // On each connection, made ahead or not: the request for TLS, and nothing behind it.
    expect(new Set(received).size).toBe(1);
  });

  test("is given up when the client leaves while it hangs", async () => {
    const rig = await rigFor(postgres, { port: await fake([]) });
    // The connection that is made ahead says nothing: it stays, whoever leaves.
    const begun = new Promise<Socket>((resolve) => {
      servers[0]?.on("connection", (client) => client.once("data", () => resolve(client)));
    });
    const grant = await rig.grant("alice");
    const stream = (await rig.agent("alice")).open("session", grant, startUp());
    const connection = await begun;
    stream.reset();
    await once(connection, "close");
    expect(await rig.recorded("session.refused")).toMatchObject([{ code: "local.interrupted" }]);
  });
});
