// `jitdb sql` as a shell sees it, against a real PostgreSQL.

import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { programs } from "../support/programs.ts";
import { AgentFixture, firstLine } from "./agent-fixture.ts";

const fixture = new AgentFixture();

async function sql(args: readonly string[], input?: string) {
  const options = input === undefined ? {} : { input };
  const { exitCode, stdout, stderr } = await fixture.start(["sql", ...args], options);
  return { exitCode, stdout, stderr };
}

describe("jitdb sql", () => {
  it("prints results on stdout and command tags on stderr", async () => {
    const text = "create temp table t (a int); insert into t values (1), (2); select a from t";

    expect(await sql(["prod-orders", "-c", text])).toEqual({
      exitCode: 0,
      stdout: " a\n---\n 1\n 2\n(2 rows)\n",
      stderr: "CREATE TABLE\nINSERT 0 2",
    });
  });

  it("stops at the first statement that fails, with SQLSTATE, place and hint", async () => {
    const failing = "select 1,\n  lenght('x')";

    expect(
      await sql(["--format", "csv", "-c", "select 1 as a", "-c", failing, "-c", "select 2"]),
    ).toEqual({
      exitCode: 1,
      stdout: "a\n1",
      stderr: [
        "error: function lenght(unknown) does not exist (42883)",
        "LINE 2:   lenght('x')",
        "          ^",
        "hint: No function matches the given name and argument types. You might need to add explicit type casts.",
      ].join("\n"),
    });
  });

  it("runs the statements of a file one by one, as psql does", async () => {
    const file = join(fixture.home.path, "x.sql");
    await writeFile(file, "begin;\nselect ';' as a;\ncommit; vacuum;\n-- the end;\nselect 2 as b");

    expect(await sql(["--format", "csv", "-f", file])).toEqual({
      exitCode: 0,
      stdout: "a\n;\n\nb\n2",
      stderr: "BEGIN\nCOMMIT\nVACUUM",
    });
  });

  it("reads statements from a pipe", async () => {
    expect(await sql(["--format", "json"], "select 1 as a;\nselect 'x' as b;")).toEqual({
      exitCode: 0,
      stdout: '[\n{"a":1}\n]\n[\n{"b":"x"}\n]',
      stderr: "",
    });
  });

  it("leaves a JSON result open that an error cuts off", async () => {
    const { exitCode, stdout, stderr } = await sql([
      "--format",
      "json",
      "-c",
      "select 10 / (3 - i) as a from generate_series(1, 5) i",
    ]);

    expect(exitCode).toBe(1);
    expect(stdout).toBe('[\n{"a":5},\n{"a":10}');
    expect(stderr).toBe("error: division by zero (22012)");
  });

  it("passes COPY to stdout on and refuses COPY from stdin", async () => {
    expect(await sql(["-c", "copy (select 1, null, 'ä') to stdout"])).toMatchObject({
      exitCode: 0,
      stdout: "1\t\\N\tä",
    });
    const refused = await sql(["-c", "create temp table t (a int); copy t from stdin"]);
    expect(refused.exitCode).toBe(1);
    expect(refused.stderr).toContain("jitdb sql sends no data; use jitdb psql");
  });

  it("ends quietly when its reader has had enough, and the statement with it", async () => {
    const child = fixture.start([
      "sql",
      "--format",
      "csv",
      "-c",
      "select generate_series(1, 100000000) as a",
    ]);
    await firstLine(child.stdout);
    child.stdout.destroy();

    expect(await child).toMatchObject({ exitCode: 0, stderr: "" });
    expect(fixture.server.opens.map(({ kind }) => kind)).toEqual(["session", "cancel"]);
  });

  it("cancels what runs at Ctrl-C and ends with 130", async () => {
    const child = fixture.start(["sql", "-c", "select pg_sleep(60)"]);
    await fixture.statementSleeps();
    child.kill("SIGINT");

    expect(await child).toMatchObject({
      exitCode: 130,
      stderr: [
        "error: canceling statement due to user request (57014)",
        "error: Interrupted.",
        "hint: Start the command again.",
      ].join("\n"),
    });
  });

  it("says that the grant is over when that is why its session ended", async () => {
    const child = fixture.start(["sql", "-c", "select pg_sleep(60)"]);
    await fixture.statementSleeps();
    fixture.server.grant = { ...fixture.server.grant, state: "ended", end: "expired" };
    fixture.server.cut();

    expect(await child).toMatchObject({
      exitCode: 8,
      stderr: [
        "error: The time for prod-orders is over.",
        "hint: Ask again with `jitdb request prod-orders --for 30m`.",
      ].join("\n"),
    });
  });

  it("has a prompt on a terminal, where Ctrl-C cancels and Ctrl-D ends", async () => {
    // util-linux's script gives the child a terminal of its own.
    const program = programs.jitdb;
    const child = spawn("script", ["-qec", `${process.execPath} ${program} sql`, "/dev/null"], {
      env: { ...process.env, JITDB_HOME: fixture.home.path, NO_COLOR: "1", TERM: "xterm" },
    });
    const screen = { text: "" };
    child.stdout.on("data", (data) => {
      screen.text += String(data);
    });
    const seen = (pattern: RegExp) =>
      expect.poll(() => screen.text, { timeout: 10_000 }).toMatch(pattern);
    const ended = new Promise((resolve) => child.on("close", resolve));
    try {
      await seen(/orders=> /);
      child.stdin.write("begin;\rselect 40\r");
      await seen(/orders-\*> /);
      child.stdin.write("+ 2 as answer;\r");
      await seen(/ answer\s+--------\s+42\s+\(1 row\)/);
      child.stdin.write("select pg_sleep(60);\r");
      await fixture.statementSleeps();
      child.stdin.write("\u0003");
      await seen(/canceling statement due to user request \(57014\)/);
      await seen(/orders=!> /);
      child.stdin.write("\u0004");
      expect(await ended).toBe(0);
    } finally {
      child.kill("SIGKILL");
    }
  });
});
