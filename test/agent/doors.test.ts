// The two local doors: who gets in, what is said to those who do not, and that nothing of them reaches the gateway.

import { once } from "node:events";
import { readFile, stat } from "node:fs/promises";
import { connect as connectTcp } from "node:net";
import { join } from "node:path";
import { encodeAuthenticationOk } from "@jitdb/shared/postgres/encoder";
import {
  encodeGssEncRequest,
  encodeSslRequest,
  encodeStartupMessage,
  protocolVersions,
} from "@jitdb/shared/postgres/startup";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import { skip } from "../support/skip.ts";
import { AgentFixture, overSocket, overTcp, psql, requirePsql } from "./agent-fixture.ts";

const fixture = new AgentFixture();

describe("the local doors (invariant 8)", () => {
  it("are not open to other machines", async () => {
    const { ready } = await fixture.connect();
    const { stdout } = await execa("ss", ["-ltnH", `sport = :${ready.port}`]);

    expect(stdout.split("\n").map((row) => row.trim().split(/\s+/)[3])).toEqual([
      `127.0.0.1:${ready.port}`,
    ]);
  });

  it("refuse another user at the socket's folder (invariant 8)", async (context) => {
    if (process.getuid?.() !== 0) {
      skip(context, "only root can become another user");
    }
    requirePsql();
    const { ready } = await fixture.connect();
    expect((await stat(ready.socket)).mode & 0o777).toBe(0o700);
    const { exitCode, stderr } = await execa(
      "setpriv",
      ["--reuid=65534", "--regid=65534", "--clear-groups", "psql", "-X", overSocket(ready)],
      { reject: false, env: { HOME: "/" } },
    );

    expect(exitCode).toBe(2);
    expect(stderr).toContain("Permission denied");
    expect(fixture.server.opens).toEqual([]);
  });

  it("refuse a wrong password before anything reaches the gateway (invariant 43)", async () => {
    const { ready } = await fixture.connect();
    const wrong = await psql(overTcp(ready), "select 1", { PGPASSWORD: "wrong" });

    expect(wrong.exitCode).toBe(2);
    expect(wrong.stderr).toBe(
      [
        `psql: error: connection to server at "127.0.0.1", port ${ready.port} failed: FATAL:  The password for the local listener is wrong.`,
        "HINT:  Use the password that `jitdb connect` shows for this database.",
      ].join("\n"),
    );
    expect(fixture.server.opens).toEqual([]);
    expect(fixture.server.upstreamBytes).toBe(0);
  });

  it("hand the password to libpq from a file with mode 0600, never on a command line (invariant 37)", async () => {
    const { child, ready } = await fixture.connect();
    const { stdout } = await execa("find", [join(fixture.home.path, "passwords"), "-type", "f"]);
    expect((await stat(stdout)).mode & 0o777).toBe(0o600);

    const used = await psql(overTcp(ready), "select 1", { PGPASSFILE: stdout });
    expect(used).toMatchObject({ exitCode: 0, stdout: "1" });
    const process = `/proc/${child.pid}`;
    expect(await readFile(`${process}/cmdline`, "utf8")).not.toContain(ready.password);
    expect(await readFile(`${process}/environ`, "utf8")).not.toContain(ready.password);
  });

  it.each([
    ["prefer", { exitCode: 0, stdout: "1" }],
    ["disable", { exitCode: 0, stdout: "1" }],
    [
      "require",
      {
        exitCode: 2,
        stderr: expect.stringMatching(/server does not support SSL, but SSL was required$/),
      },
    ],
  ])("answer libpq's sslmode=%s", async (mode, expected) => {
    const { ready } = await fixture.connect();
    const conninfo = overTcp(ready, `sslmode=${mode}`);

    expect(await psql(conninfo, "select 1", { PGPASSWORD: ready.password })).toMatchObject(
      expected,
    );
  });

  it.each([
    ["an HTTP GET", Buffer.from("GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")],
    ["an HTTP POST", Buffer.from("POST /api HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")],
    ["a TLS hello", Buffer.from("16030100c8010000c40303", "hex")],
    ["a length of zero", Buffer.alloc(64)],
    ["a length of 2^32 - 1", Buffer.alloc(64, 0xff)],
    [
      "a cancel request with a made-up key (invariant 16)",
      Buffer.from("0000001004d2162e0000000100000002", "hex"),
    ],
    ["bytes behind an SSLRequest (invariant 13)", Buffer.from("0000000804d2162f5100000005", "hex")],
  ])("close on %s and send nothing upstream (invariant 9)", async (_name, bytes) => {
    const { ready } = await fixture.connect();

    for (const target of [
      { host: ready.host, port: ready.port },
      { path: join(ready.socket, `.s.PGSQL.${ready.port}`) },
    ]) {
      expect(await answerTo(target, bytes)).toBe("");
    }
    expect(fixture.server.opens).toEqual([]);
    expect(fixture.server.upstreamBytes).toBe(0);
  });
});

describe("what stands before a start-up packet", () => {
  const [ssl, gss] = [encodeSslRequest(), encodeGssEncRequest()];
  const startup = encodeStartupMessage({
    version: protocolVersions.v3_0,
    parameters: [{ name: "user", value: Buffer.from("alice") }],
  });

  it.each([
    ["nothing", []],
    ["an SSLRequest", [ssl]],
    ["a GSSENCRequest", [gss]],
    ["an SSLRequest, then a GSSENCRequest", [ssl, gss]],
    ["a GSSENCRequest, then an SSLRequest", [gss, ssl]],
  ])("may be %s: each is declined with one byte", async (_, requests) => {
    const { ready } = await fixture.connect();
    const socket = connectTcp(join(ready.socket, `.s.PGSQL.${ready.port}`));
    for (const request of requests) {
      socket.write(request);
      expect(String((await once(socket, "data"))[0])).toBe("N");
    }
    socket.write(startup);
    const [greeting] = await once(socket, "data");
    socket.destroy();
    expect(Buffer.from(encodeAuthenticationOk()).equals(greeting.subarray(0, 9))).toBe(true);
  });

  it.each([
    ["an SSLRequest twice", [ssl, ssl]],
    ["a GSSENCRequest twice", [gss, ssl, gss]],
  ])("is not %s: that ends the connection (invariant 12)", async (_, requests) => {
    const { ready } = await fixture.connect();
    const socket = connectTcp(ready.port, ready.host);
    const closed = once(socket, "close");
    for (const request of requests.slice(0, -1)) {
      socket.write(request);
      await once(socket, "data");
    }
    const answers: Buffer[] = [];
    socket.on("data", (bytes) => answers.push(bytes));
    socket.write(requests.at(-1) ?? ssl);
    await closed;
    expect(answers).toEqual([]);
    expect(fixture.server.opens).toEqual([]);
  });

  it("is no start-up of another major version: that is refused in PostgreSQL's words", async () => {
    const { ready } = await fixture.connect();
    const old = Buffer.from("0000000800020000", "hex");
    const answer = await answerTo({ host: ready.host, port: ready.port }, old);
    expect(answer).toContain("SFATAL\0");
    expect(answer).toContain("C0A000\0");
    expect(fixture.server.opens).toEqual([]);
  });
});

/** All that a door says to the bytes until it closes. */
function answerTo(target: { path: string } | { host: string; port: number }, bytes: Buffer) {
  return new Promise<string>((resolve) => {
    let answer = "";
    const socket = connectTcp(target, () => socket.write(bytes));
    socket.on("data", (data) => {
      answer += data.toString("latin1");
    });
    socket.on("error", () => undefined);
    socket.on("close", () => resolve(answer));
  });
}
