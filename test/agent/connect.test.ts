// `jitdb connect` and `jitdb psql` as a shell sees them.

import { stat } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import { describe, expect, it } from "vitest";
import {
  AgentFixture,
  firstLine,
  overSocket,
  overTcp,
  psql,
  type Ready,
  requirePsql,
} from "./agent-fixture.ts";

const fixture = new AgentFixture();

describe("jitdb connect --json", () => {
  it("says in one line how to connect, and both doors lead to the database", async () => {
    const { ready } = await fixture.connect();

    expect(ready).toEqual({
      host: "127.0.0.1",
      port: expect.any(Number),
      socket: join(fixture.home.path, "run"),
      user: "alice",
      password: expect.stringMatching(/^[\w-]{32}$/),
      database: "orders",
      url: `postgresql://alice@/orders?host=${encodeURIComponent(ready.socket)}&port=${ready.port}`,
      expiresAt: fixture.server.grant.endsAt,
      grant: fixture.server.grant.id,
    });
    expect(ready.port).toBeGreaterThanOrEqual(20_000);
    expect(ready.port).toBeLessThan(30_000);
    expect(await psql(ready.url, "select 1")).toMatchObject({ exitCode: 0, stdout: "1" });
    const tcp = await psql(overTcp(ready), "select 2", { PGPASSWORD: ready.password });
    expect(tcp).toMatchObject({ exitCode: 0, stdout: "2" });
  });

  it("keeps port and password from one start to the next, for what a GUI saved", async () => {
    const first = await fixture.connect();
    first.child.kill("SIGINT");
    await first.child;
    const second = await fixture.connect();

    expect(second.ready.port).toBe(first.ready.port);
    expect(second.ready.password).toBe(first.ready.password);
  });

  it("ends with 0 on Ctrl-C and says that the grant lives on", async () => {
    const { child } = await fixture.connect();
    child.kill("SIGINT");
    const { exitCode, stderr } = await child;

    expect(exitCode).toBe(0);
    expect(stderr).toMatch(
      /^Disconnected\. The grant lives on until \d\d:\d\d \(29m left\); give it back with `jitdb revoke grt_7k2m9x4qab3d`\.$/m,
    );
  });

  it("ends with 8 when the grant is revoked, and tells open sessions in PostgreSQL's words", async () => {
    const { child, ready } = await fixture.connect();
    const session = psql(overSocket(ready), "select pg_sleep(30)");
    await fixture.statementSleeps();
    fixture.server.grant = {
      ...fixture.server.grant,
      state: "ended",
      end: "revoked",
      endedBy: "bob",
      endReason: "too early",
    };
    fixture.server.notice({
      kind: "revoked",
      grant: fixture.server.grant.id,
      expiresAt: fixture.server.grant.endsAt,
      message: "The grant was revoked.",
    });

    const { exitCode, stderr } = await child;
    expect(exitCode).toBe(8);
    expect(JSON.parse(stderr)).toEqual({
      error: {
        code: "grant.revoked",
        message: "The grant for prod-orders was revoked by bob: too early",
        hint: "Talk to who revoked it, or ask again with `jitdb request prod-orders --for 30m`.",
      },
    });
    expect((await session).stderr).toBe(
      [
        "FATAL:  The grant for prod-orders was revoked by bob: too early",
        "HINT:  Talk to who revoked it, or ask again with `jitdb request prod-orders --for 30m`.",
        "server closed the connection unexpectedly",
        "\tThis probably means the server terminated abnormally",
        "\tbefore or while processing the request.",
        "connection to server was lost",
      ].join("\n"),
    );
  });

  it("ends with 0 when the time is over", async () => {
    const { child } = await fixture.connect();
    fixture.server.grant = { ...fixture.server.grant, state: "ended", end: "expired" };
    fixture.server.notice({
      kind: "expired",
      grant: fixture.server.grant.id,
      expiresAt: new Date().toISOString(),
      message: "The time is over.",
    });

    expect(await child).toMatchObject({
      exitCode: 0,
      stderr:
        "The time for prod-orders is over. Ask again with `jitdb request prod-orders --for 30m`.",
    });
  });
});

describe("jitdb connect", () => {
  it("prints a line that works as it is in another terminal", async () => {
    requirePsql();
    const child = fixture.start(["connect", "--port", "0"]);
    const line = await firstLine(child.stdout);

    expect(line).toMatch(/^ {2}psql "host=\S+\/run port=\d+ dbname=orders user=alice"$/);
    const { stdout } = await execa("sh", ["-c", `${line} -X -At -c 'select 42'`], {
      env: { PGPASSWORD: undefined },
    });
    expect(stdout).toBe("42");
  });

  it("says on stderr what is open and how long, and where a GUI finds the password", async () => {
    const child = fixture.start(["connect", "--port", "0"]);
    await firstLine(child.stdout);
    child.kill("SIGINT");
    const { stderr } = await child;

    expect(stderr.replace(/\d\d:\d\d/g, "14:32").replace(/port \d+/, "port 25432")).toBe(
      [
        "prod-orders (read-only) until 14:32, 29m left",
        "",
        "In another terminal:",
        "",
        "In a GUI: host 127.0.0.1, port 25432, database orders, user alice,",
        `  password in ${stderr.match(/\S+\.pgpass/)?.[0]}, or run again with --show-password`,
        "Disconnected. The grant lives on until 14:32 (29m left); give it back with `jitdb revoke grt_7k2m9x4qab3d`.",
      ].join("\n"),
    );
  });

  it("says that the database user is being made, and waits for it", async () => {
    const { server } = fixture;
    server.grant = { ...server.grant, user: "preparing", userProblem: "The database is away." };
    const child = fixture.start(["connect", "--port", "0"]);
    const said = await firstLine(child.stderr);
    server.grant = { ...server.grant, user: "ready", userProblem: null };

    expect(said).toBe("The database user for prod-orders is being made. The database is away.");
    expect(await firstLine(child.stdout)).toContain("psql ");
  });

  it("fails with the reason where the user will not come", async () => {
    const { server } = fixture;
    server.grant = { ...server.grant, user: "quarantined", userProblem: "It can't be removed." };

    expect(await fixture.start(["connect"])).toMatchObject({
      exitCode: 11,
      stderr: [
        "error: The database user for prod-orders can't be used. It can't be removed.",
        "hint: Ask an administrator, who finds more in the server's log.",
      ].join("\n"),
    });
  });

  it.each(["-1", "65536", "http", ""])("refuses --port=%s", async (port) => {
    expect(await fixture.start(["connect", `--port=${port}`])).toMatchObject({
      exitCode: 2,
      stderr: [
        `error: "${port}" is not a port.`,
        "hint: Write a number from 1 to 65535, or 0 for any free port.",
      ].join("\n"),
    });
  });

  it("fails on a port that another program holds, and sends nothing to it (invariant 43)", async () => {
    const received: Buffer[] = [];
    const squatter = createServer((socket) => socket.on("data", (data) => received.push(data)));
    await new Promise<void>((resolve) => squatter.listen(0, "127.0.0.1", resolve));
    const address = squatter.address();
    const port = typeof address === "object" ? String(address?.port) : "";

    const { exitCode, stdout, stderr } = await fixture.start(["connect", "--port", port]);
    squatter.close();

    expect({ exitCode, stdout, stderr, received }).toEqual({
      exitCode: 10,
      stdout: "",
      stderr: [
        `error: Another program holds port ${port}.`,
        "hint: Choose another with --port, let jitdb choose with --port 0, or end the program that holds it.",
      ].join("\n"),
      received: [],
    });
  });

  it("says which process is connected already", async () => {
    const { child } = await fixture.connect();
    const { exitCode, stderr } = await fixture.start(["connect"]);

    expect(exitCode).toBe(10);
    expect(stderr).toBe(
      [
        `error: prod-orders is already connected in process ${child.pid}.`,
        "hint: Use that connection, end it with Ctrl-C, or open a second one with --port 0.",
      ].join("\n"),
    );
  });

  it("takes over the socket that a killed process left", async () => {
    const first = await fixture.connect();
    first.child.kill("SIGKILL");
    await first.child;
    const left = join(first.ready.socket, `.s.PGSQL.${first.ready.port}`);
    expect((await stat(left)).isSocket()).toBe(true);

    const { ready } = await fixture.connect();
    expect(await psql(overSocket(ready), "select 1")).toMatchObject({ exitCode: 0, stdout: "1" });
  });

  it("works with a home whose path is too long for a socket", async () => {
    const long = { ...fixture.home, path: join(fixture.home.path, "x".repeat(100)) };
    await execa("cp", ["-r", fixture.home.path, `${fixture.home.path}-copy`]);
    await execa("mv", [`${fixture.home.path}-copy`, long.path]);
    const child = fixture.start(["connect", "--json"], {}, long);
    const ready = JSON.parse(await firstLine(child.stdout)) as Ready;

    expect(ready.socket).not.toContain(fixture.home.path);
    expect((await stat(ready.socket)).mode & 0o777).toBe(0o700);
    expect(await psql(overSocket(ready), "select 1")).toMatchObject({ exitCode: 0, stdout: "1" });
  });
});

describe("jitdb psql", () => {
  it("runs psql over a socket of its own and ends with its exit code", async () => {
    requirePsql();
    const statements = ["-c", "select 1", "-c", "nonsense"];
    const child = fixture.start(["psql", "prod-orders", "-X", "-At", ...statements]);
    const { exitCode, stdout, stderr } = await child;

    expect({ exitCode, stdout, stderr }).toEqual({
      exitCode: 1,
      stdout: "1",
      stderr: [
        "prod-orders (read-only), 29m left",
        'ERROR:  syntax error at or near "nonsense"',
        "LINE 1: nonsense",
        "        ^",
      ].join("\n"),
    });
    const { stdout: left } = await execa("find", [
      join(fixture.home.path, "run"),
      "-mindepth",
      "1",
    ]);
    expect(left).toBe("");
  });

  it.each([
    [
      "behind --, also one that jitdb has, too",
      ["prod-orders", "--", "-V"],
      /^psql \(PostgreSQL\)/,
    ],
    ["without a database's name", ["-XAtc", "select 2"], /^2$/],
    ["with dashes in its text", ["prod-orders", "-XAtc", "-- a comment\nselect 3"], /^3$/],
  ])("takes psql's arguments %s", async (_how, args, answer) => {
    requirePsql();
    expect(await fixture.start(["psql", ...args])).toMatchObject({
      exitCode: 0,
      stdout: expect.stringMatching(answer),
    });
  });

  it("is not led astray by the shell's variables", async () => {
    requirePsql();
    const child = fixture.start(["psql", "--", "-X", "-At", "-c", "select 1"], {
      env: { PGHOSTADDR: "192.0.2.1", PGSSLMODE: "require", PGSERVICE: "elsewhere" },
    });

    expect(await child).toMatchObject({ exitCode: 0, stdout: "1" });
  });

  it("names the way out where psql is missing", async () => {
    const child = fixture.start(["psql"], { env: { PATH: "/nonexistent" } });

    expect(await child).toMatchObject({
      exitCode: 9,
      stderr: [
        "prod-orders (read-only), 29m left",
        "error: psql is not installed, or not on the PATH.",
        "hint: Install it (Debian: apt install postgresql-client), or use `jitdb sql prod-orders`.",
      ].join("\n"),
    });
  });
});
