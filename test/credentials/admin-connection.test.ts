// Invariant 17 for the admin role: what a false or half-configured server gets, and what each TLS mode accepts.

import { chown, readFile, stat, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { testCertificate, testKey } from "../../packages/cli/src/network/test-certificate.ts";
import type { DatabaseTlsConfig, LoginMethod } from "../../packages/server/src/config/config.ts";
import { postgresEngine } from "../../packages/server/src/engines/postgres/engine.ts";
import { Secret } from "../../packages/shared/src/secret.ts";
import { testedVersions } from "../support/versions.ts";
import { createFixture, databaseConfig, type Fixture } from "./fixture.ts";
import { until } from "./service-fixture.ts";

describe.each([
  { method: "clear text", request: [3] },
  { method: "MD5", request: [5, 0x01020304] },
])("a false server that asks for the password as $method", ({ request }) => {
  test("gets nothing but the start-up packet (invariant 17)", async () => {
    const received: Buffer[] = [];
    const port = await listen((socket) => {
      socket.once("data", (startup) => {
        received.push(startup);
        socket.on("data", (bytes) => received.push(bytes));
        socket.write(authenticationRequest(request));
      });
    });
    const executor = postgresEngine.createExecutor(
      databaseConfig({ host: "127.0.0.1", port }, new Secret("canary-password")),
    );
    await expect(executor.users("test")).rejects.toMatchObject({ code: "database.misconfigured" });
    await executor.close();
    expect(received).toHaveLength(1);
    expect(Buffer.concat(received).toString("latin1")).not.toContain("canary");
  });
});

test("a false server that lets everybody in gets no verifier of a new user (invariant 17)", async () => {
  const received: Buffer[] = [];
  const port = await listen((socket) => {
    socket.on("data", (bytes) => received.push(bytes));
    socket.once("data", () => {
      const idle = Buffer.from("Z\0\0\0\x05I", "latin1");
      socket.write(Buffer.concat([authenticationRequest([0]), idle]));
    });
  });
  const executor = postgresEngine.createExecutor(
    databaseConfig({ host: "127.0.0.1", port }, new Secret("canary-password")),
  );
  await expect(executor.users("test")).rejects.toMatchObject({
    code: "database.misconfigured",
    detail: "It lets the admin role in without a password: pg_hba.conf has to say scram-sha-256.",
  });
  await executor.close();
  expect(received).toHaveLength(1);
});

describe.each(testedVersions)("TLS to the %s PostgreSQL", (version) => {
  let fixture: Fixture;
  beforeAll(async () => {
    fixture = await createFixture(version);
  });
  afterAll(() => fixture.stop());

  /** Whether a connection in use is encrypted, or the code of the refusal. */
  async function outcome(
    tls: DatabaseTlsConfig,
    allowedLogins: readonly LoginMethod[] = [],
  ): Promise<string> {
    const executor = postgresEngine.createExecutor({ ...fixture.database, tls, allowedLogins });
    try {
      await executor.users("test");
      const [[encrypted] = []] = await fixture.superuser(
        "SELECT bool_and(s.ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'jitdb_admin'",
      );
      return encrypted === true ? "encrypted" : "plain";
    } catch (error) {
      return error instanceof Error && "code" in error ? String(error.code) : "unknown";
    } finally {
      await executor.close();
      await until(async () => {
        const rows = await fixture.superuser(
          "SELECT FROM pg_stat_activity WHERE usename = 'jitdb_admin'",
        );
        return rows.length === 0;
      });
    }
  }

  test("is not done without where it is required", async () => {
    expect(await outcome({ mode: "disable" })).toBe("plain");
    expect(await outcome({ mode: "require" })).toBe("database.misconfigured");
  });

  test("checks the chain, or the name too, as the mode says", async () => {
    await turnOnTls(fixture);
    expect(await outcome({ mode: "require" })).toBe("encrypted");
    expect(await outcome({ mode: "verify-ca", ca: testCertificate })).toBe("encrypted");
    expect(await outcome({ mode: "verify-ca" })).toBe("database.misconfigured");
    // The certificate is that of jitdb.test, not of 127.0.0.1.
    expect(await outcome({ mode: "verify-full", ca: testCertificate })).toBe(
      "database.misconfigured",
    );
  });

  test.each([
    ["password", "in clear text", { mode: "require" }],
    ["trust", "with a certificate alone", { mode: "verify-ca", ca: testCertificate }],
  ] as const)(
    "takes the login %s (%s) where it is allowed (invariant 17)",
    async (method, _, tls) => {
      const file = join(fixture.server.dataFolder, "pg_hba.conf");
      const before = await readFile(file, "utf8");
      await writeFile(file, `hostssl all jitdb_admin 127.0.0.1/32 ${method}\n${before}`);
      await reload(fixture);
      expect(await outcome(tls)).toBe("database.misconfigured");
      expect(await outcome(tls, [method === "trust" ? "certificate" : method])).toBe("encrypted");
      await writeFile(file, before);
      await reload(fixture);
    },
  );
});

/** Resolves when the server goes by its files again. */
async function reload(fixture: Fixture): Promise<void> {
  const loadedAt = async () =>
    String((await fixture.superuser("SELECT pg_conf_load_time()::text"))[0]?.[0]);
  const before = await loadedAt();
  fixture.server.reload();
  await until(async () => (await loadedAt()) !== before);
}

async function turnOnTls(fixture: Fixture): Promise<void> {
  const { dataFolder } = fixture.server;
  const { uid, gid } = await stat(dataFolder);
  for (const [name, text] of [
    ["server.crt", testCertificate],
    ["server.key", testKey],
  ] as const) {
    await writeFile(join(dataFolder, name), text, { mode: 0o600 });
    await chown(join(dataFolder, name), uid, gid);
  }
  await fixture.superuser("ALTER SYSTEM SET ssl = on");
  fixture.server.reload();
  await until(async () => (await fixture.superuser("SHOW ssl"))[0]?.[0] === "on");
}

/** PostgreSQL's AuthenticationRequest (manual, §54.7): the method's number, and what it brings. */
function authenticationRequest(words: readonly number[]): Buffer {
  const message = Buffer.alloc(5 + 4 * words.length);
  message.write("R");
  message.writeInt32BE(message.length - 1, 1);
  for (const [index, word] of words.entries()) {
    message.writeInt32BE(word, 5 + 4 * index);
  }
  return message;
}

async function listen(serve: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => serve(socket.on("error", () => {})));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
