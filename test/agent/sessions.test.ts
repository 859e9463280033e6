// Sessions of real psql through listener, tunnel and gateway, and what becomes of them.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { beforeEach, describe, expect, it } from "vitest";
import { requireProgram } from "../support/psql.ts";
import { AgentFixture, overSocket, psql } from "./agent-fixture.ts";

const fixture = new AgentFixture();

describe("sessions through the agent", () => {
  beforeEach((context) => requireProgram("psql", context));

  it("are cancelled by psql's Ctrl-C", async () => {
    const script = join(fixture.home.path, "script.sql");
    await writeFile(script, "select pg_sleep(60);\nselect 'after';\n");
    const { ready } = await fixture.connect();
    const client = execa("psql", ["-X", "-At", "-f", script, overSocket(ready)], { reject: false });
    await fixture.statementSleeps();
    client.kill("SIGINT");
    const { stdout, stderr } = await client;

    expect(stderr).toContain("ERROR:  canceling statement due to user request");
    expect(stdout).not.toContain("after");
    expect(fixture.server.opens.map(({ kind }) => kind)).toEqual(["session", "cancel"]);
  });

  it("stream a large result past one that nobody reads", async () => {
    const { child, ready } = await fixture.connect();
    const rows = "select repeat('x', 1000) from generate_series(1, 50000)";
    const stopped = execa(
      "psql",
      ["-X", "-At", overSocket(ready), "-c", `copy (${rows}) to stdout`],
      {
        reject: false,
        buffer: false,
      },
    );
    stopped.stdout.pause();
    await expect.poll(() => fixture.server.opens.length, { timeout: 10_000 }).toBe(1);

    const busy = await psql(overSocket(ready), `select sum(length(r)) from (${rows}) as t(r)`);
    expect(busy.stdout).toBe("50000000");
    const large = await execa("psql", ["-X", "-At", overSocket(ready), "-c", rows], {
      maxBuffer: 100_000_000,
    });
    expect(large.stdout.length).toBe(50_049_999);
    const status = await readFile(`/proc/${child.pid}/status`, "utf8");
    expect(Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1])).toBeLessThan(250_000);
    stopped.kill("SIGKILL");
    await stopped;
  });

  it("end with a native error when the tunnel is cut, and new ones go through the next tunnel", async () => {
    const { ready } = await fixture.connect();
    const session = psql(overSocket(ready), "select pg_sleep(30)");
    await fixture.statementSleeps();
    fixture.server.cut();

    const { exitCode, stderr } = await session;
    expect(exitCode).toBe(2);
    expect(stderr).toMatch(
      /^FATAL: {2}The connection to the server was lost\.\nHINT: {2}Connect again; jitdb restores its tunnel by itself\.\n/,
    );
    expect(await psql(overSocket(ready), "select 1")).toMatchObject({ exitCode: 0, stdout: "1" });
  });

  it("are refused in PostgreSQL's words with the gateway's code, message and hint", async () => {
    const { ready } = await fixture.connect();
    fixture.server.refusal = {
      code: "database.unavailable",
      message: "The database prod-orders cannot be reached.",
      hint: "Wait a little.",
    };
    const { stderr } = await psql(overSocket(ready), "select 1");

    expect(stderr).toBe(
      [
        `psql: error: connection to server on socket "${ready.socket}/.s.PGSQL.${ready.port}" failed: FATAL:  The database prod-orders cannot be reached.`,
        "HINT:  Wait a little.",
      ].join("\n"),
    );
  });
});
