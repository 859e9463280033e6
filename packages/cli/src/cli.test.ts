import { type ErrorCode, exitCodes, JitdbError } from "@jitdb/shared/errors";
import { describe, expect, it } from "vitest";
import { describeCommand } from "./cli.ts";
import { commands } from "./command-list.ts";
import { sayNextStep } from "./commands/help.ts";
import { createFakeContext, runWithFakes } from "./fakes.ts";

describe("the command line", () => {
  it("suggests the nearest command and ends with the usage code", async () => {
    expect(await runWithFakes(["grnats"], {})).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: "error: Unknown command 'grnats'.\nhint: Did you mean grants?\n",
    });
  });

  it("suggests the nearest option", async () => {
    const { exitCode, stderr } = await runWithFakes(["request", "x", "--fro", "30m"], {});
    expect(exitCode).toBe(2);
    expect(stderr).toBe("error: Unknown option '--fro'.\nhint: Did you mean --for?\n");
  });

  it("refuses arguments that a command does not take", async () => {
    const { exitCode, stderr } = await runWithFakes(["sessions", "extra"], {});
    expect(exitCode).toBe(2);
    expect(stderr).toContain("error: Too many arguments");
  });

  it("prints an error as one JSON line on stderr with --json, in the API's form", async () => {
    const api = {
      grants: () => Promise.reject(new JitdbError("login.expired", "The login is over.")),
    };
    expect(await runWithFakes(["grants", "--json"], { api })).toEqual({
      exitCode: 3,
      stdout: "",
      stderr:
        '{"error":{"code":"login.expired","message":"The login is over.","hint":"Run `jitdb login` again."}}\n',
    });
  });

  it("takes --json after -- for an argument of somebody else", async () => {
    const { stderr } = await runWithFakes(["nonsense", "--", "--json"], {});
    expect(stderr).toMatch(/^error: /);
  });

  const rows: [ErrorCode, number][] = [
    ["usage.ambiguous", exitCodes.usage],
    ["login.required", exitCodes.login],
    ["policy.no_match", exitCodes.refused],
    ["request.denied", exitCodes.denied],
    ["request.lapsed", exitCodes.lapsed],
    ["server.unreachable", exitCodes.network],
    ["grant.expired", exitCodes.ended],
    ["database.unknown", exitCodes.notFound],
    ["request.decided", exitCodes.conflict],
    ["database.unavailable", exitCodes.database],
    ["local.interrupted", exitCodes.interrupted],
  ];
  it.each(rows)("ends with the catalogue's exit code for %s", async (code, exitCode) => {
    const api = { databases: () => Promise.reject(new JitdbError(code, "What happened.")) };
    const outcome = await runWithFakes(["databases"], { api });
    expect(outcome.exitCode).toBe(exitCode);
    expect(outcome.stderr).toMatch(/^error: What happened\.\nhint: .+\n$/);
  });

  it("asks for a report of an unexpected error, without its stack", async () => {
    const api = { databases: () => Promise.reject(new TypeError("x is undefined")) };
    expect(await runWithFakes(["databases"], { api })).toEqual({
      exitCode: exitCodes.internal,
      stdout: "",
      stderr:
        "error: jitdb failed: TypeError: x is undefined\n" +
        "hint: Please report this, with the command that you ran.\n",
    });
  });

  it("prints the table of exit codes as data", async () => {
    const { stdout, exitCode } = await runWithFakes(["help", "exit-codes"], {});
    expect(exitCode).toBe(0);
    expect(stdout).toContain("5\tthe request was denied\n");
    expect(stdout.trimEnd().split("\n")).toHaveLength(Object.keys(exitCodes).length);
  });
});

describe("help", () => {
  it("names every command, examples, and where there is more", async () => {
    const help = await describeCommand();
    for (const { name, summary } of commands) {
      expect(help).toMatch(new RegExp(`^  ${name} +${summary}$`, "m"));
    }
    expect(help).toMatch(/\nExamples:\n {2}jitdb login .*\n\nMore: `jitdb help <command>`/s);
  });

  it.each(commands.map(({ name }) => [name]))("of %s fits into 120 cells", async (name) => {
    const help = await describeCommand(name);
    expect(help).toMatch(new RegExp(`^Usage: jitdb ${name} `));
    expect(help.split("\n").filter((text) => text.length > 120)).toEqual([]);
  });

  it.each([
    [{}, null, "You are not logged in. Begin with `jitdb login <server>`."],
    [
      { "https://jitdb.example.com": { person: "alice", restsIn: "file" as const } },
      "https://jitdb.example.com",
      "You are logged in to https://jitdb.example.com as alice. See what you may ask for with `jitdb databases`.",
    ],
  ])("of `jitdb` alone ends with the next step", async (servers, current, step) => {
    const { context, written } = createFakeContext({});
    const credentials = { servers: async () => ({ current, servers }) };
    await sayNextStep({ ...context, credentials: async () => credentials });
    expect(written.stderr).toBe(`\n${step}\n`);
  });

  it("has the environment variables", async () => {
    const { stdout, exitCode } = await runWithFakes(["help", "environment"], {});
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^JITDB_HOME\tfolder of .*\nJITDB_SERVER\t/);
  });

  it("is named by what refuses too many arguments", async () => {
    const { stderr } = await runWithFakes(["grants", "extra"], {});
    expect(stderr).toMatch(/\nhint: See `jitdb grants --help`\.\n$/);
  });
});

describe("bad input", () => {
  it.each([
    ["0", "A duration must be longer than zero."],
    ["-1", '"-1" is not a duration.'],
    ["1e9h", '"1e9h" is not a duration.'],
    ["1h1h", '"1h1h" is not a duration.'],
  ])("refuses the duration %s (invariant 6)", async (duration, message) => {
    const text = duration === "0" ? "0s" : duration;
    const argv = ["request", "prod-orders", `--for=${text}`];
    expect(await runWithFakes(argv, {})).toEqual({
      exitCode: 2,
      stdout: "",
      stderr: `error: ${message}\nhint: Write a duration such as 30m, 2h or 1h30m.\n`,
    });
  });

  it.each(["0", "501", "x", "1.5"])("refuses --limit %s", async (limit) => {
    const { exitCode, stderr } = await runWithFakes(["grants", "--limit", limit], {});
    expect(exitCode).toBe(2);
    expect(stderr).toBe(
      `error: --limit takes 1 to 500, not "${limit}".\nhint: Write it like --limit 500.\n`,
    );
  });

  it("refuses plain HTTP off loopback before anything is sent", async () => {
    expect(await runWithFakes(["login", "http://jitdb.example.com"], {})).toEqual({
      exitCode: 2,
      stdout: "",
      stderr:
        "error: http://jitdb.example.com is plain HTTP, and not on this machine.\n" +
        "hint: Use https://; plain HTTP is for loopback addresses alone.\n",
    });
  });

  it.each([
    [["request", "--for", "30m"], "error: Which database? `jitdb request` needs its name here."],
    [["approve"], "error: Which request? `jitdb approve` needs its id here."],
    [["deny"], "error: Which request? `jitdb deny` needs its id here."],
    [["withdraw"], "error: Which request? `jitdb withdraw` needs its id here."],
    [["revoke"], "error: Which grant? `jitdb revoke` needs its id here."],
    [["requests", "--inbox", "--all"], "error: --inbox and --all exclude each other."],
  ])("without a terminal %j names what is missing", async (argv, message) => {
    const { exitCode, stdout, stderr } = await runWithFakes(argv, {});
    expect([exitCode, stdout]).toEqual([2, ""]);
    expect(stderr.split("\n")[0]).toBe(message);
  });
});
