// What people see before they decide, with the built programs: the asker's dry run, the approver's keys, the inbox.

import { readFile } from "node:fs/promises";
import type { RequestView } from "@jitdb/shared/api/access";
import type { RequestPreview } from "@jitdb/shared/api/previews";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { settleMs } from "../../packages/cli/src/requests/inbox.ts";
import { eventually, instant } from "../support/eventually.ts";
import type { Person } from "../support/person.ts";
import { requireTerminal, TerminalWindow } from "../support/terminal.ts";
import { Company } from "./company.ts";
import { loggingSettings } from "./server-log.ts";

const policies = `
  - name: reading
    who: { groups: [developers] }
    databases: ["prod-*"]
    profiles: [read-only]
    maxDuration: 1h
    approval: automatic
  - name: writing
    who: { groups: [developers] }
    databases: [prod-orders]
    profiles: [read-write]
    maxDuration: 30m
    approval: { count: 1, groups: [admins, dba] }
`;

let company: Company;
let carol: Person;
beforeAll(async () => {
  company = await Company.found({ policies, postgresSettings: loggingSettings });
  carol = await company.installation.addLoggedIn("carol", ["dba"]);
});
afterAll(() => company?.close());

const toWrite = ["request", "prod-orders", "--profile", "read-write", "--for", "20m"];

async function ask(reason: string): Promise<string> {
  const printed = await company.alice.expect([...toWrite, "--reason", reason, "--no-wait"]);
  return printed.trim();
}

async function requestOf(id: string): Promise<RequestView | undefined> {
  const printed = await company.alice.expect(["requests", "--json"]);
  const { requests }: { requests: RequestView[] } = JSON.parse(printed);
  return requests.find((request) => request.id === id);
}

describe("a dry run", () => {
  test("shows the statements that the grant then runs, and neither admin, host nor verifier (invariant 18)", async () => {
    const { installation, alice } = company;
    const before = (await installation.ephemeralUsers()).length;
    const printed = await alice.expect([...toWrite, "--reason", "dry", "--dry-run", "--json"]);
    const preview: RequestPreview = JSON.parse(printed);
    expect(preview).toMatchObject({
      policy: "writing",
      privileges: "read and change rows",
      stages: [{ groups: ["admins", "dba"], needed: 1, approvers: ["bob", "carol"] }],
      usualWait: null,
      problem: null,
    });
    expect(printed).not.toMatch(/jitdb_admin|SCRAM|127\.0\.0\.1/);
    expect(await installation.ephemeralUsers()).toHaveLength(before);
    expect(JSON.parse(await alice.expect(["requests", "--json"]))).toMatchObject({ requests: [] });

    const id = await ask("wet");
    await carol.expect(["approve", id]);
    const [user = ""] = await eventually("the user is made", async () => {
      const users = await installation.ephemeralUsers();
      return users.length > before && users;
    });
    const log = await readFile(installation.postgres.serverLog, "utf8");
    const ran = [...log.matchAll(/(?:statement|execute [^:]*): ((?:CREATE ROLE|GRANT) .*)/g)]
      .map(([, statement = ""]) => statement)
      .filter((statement) => statement.includes(user));
    const marked = ran.map((statement) =>
      statement
        .replace(/_[^_]{13}"/, '_<random>"')
        .replace(/'SCRAM-SHA-256[^']*'/, "'<verifier>'")
        .replace(/VALID UNTIL '[^']*'/, "VALID UNTIL '<end>'")
        .replace('"jitdb_admin"', '"<admin>"'),
    );
    expect(preview.statements).toEqual(marked);
    expect(marked).toHaveLength(2);
    await company.revokeAll();
  });

  test("is refused as the request would be, and that is on record", async () => {
    const long = ["request", "prod-orders", "--for", "8h"];
    const asked = await company.alice.run(long);
    const dry = await company.alice.run([...long, "--dry-run"]);
    expect(dry).toEqual(asked);
    expect(dry.exitCode).toBe(4);
    const refusals = (await company.journal()).of("request.refused");
    expect(refusals.at(-1)).toMatchObject({ code: "policy.duration", dryRun: true });
  });

  test("says nothing about the statements of a database that is away, and all the rest", async () => {
    const { installation, alice } = company;
    await installation.asSuperuser("ALTER ROLE jitdb_admin NOLOGIN");
    await installation.asSuperuser(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'jitdb_admin'",
    );
    const { exitCode, stdout } = await alice.run([...toWrite, "--reason", "away", "--dry-run"]);
    await installation.asSuperuser("ALTER ROLE jitdb_admin LOGIN");
    expect(exitCode).toBe(0);
    expect(stdout).toContain("  by        bob, carol\n");
    expect(stdout).toContain(
      "  runs      cannot be said: prod-orders refuses the server's admin role.",
    );
  });
});

describe("an approver in a terminal", () => {
  const decide = (person: Person, args: readonly string[]) =>
    new TerminalWindow("jitdb", args, { home: person.home });

  test("shortens by two keys, and sees before what the person ran", async (context) => {
    requireTerminal(context);
    const { alice } = company;
    await company.grant("10m", "read-only");
    await alice.run(["sql", "prod-orders"], {
      input: "SELECT 17 AS seen;\nDELETE FROM app.orders;\n",
    });
    const id = await ask("by keys");
    const window = decide(carol, ["approve", id]);
    await window.shows("[y] approve");
    window.press("l");
    await window.shows("[y] approve");
    window.press("s");
    await window.shows("[Esc] back");
    window.press("1");
    const { exitCode, screen } = await window.ended();
    expect(screen).toMatch(
      /before: prod-orders \(read-only\) .*2 statements in 1 session: 1 read, 1\s+failed/,
    );
    expect(screen).toMatch(/SELECT 17 AS seen; {2}→ SELECT 1, 1 row/);
    expect(screen).toContain("Approved: alice has prod-orders for 1m.");
    expect(screen).not.toContain("left raw");
    expect(exitCode).toBe(0);
    await company.revokeAll();
  });

  test("leaves everything undecided at Ctrl-C, and the terminal as it was", async (context) => {
    requireTerminal(context);
    const id = await ask("by nobody");
    const window = decide(carol, ["approve", id]);
    await window.shows("[y] approve");
    window.press("\u0003");
    const { exitCode, screen } = await window.ended();
    expect(screen).toContain(`error: Nothing was decided; ${id} still waits.`);
    expect(screen).not.toContain("left raw");
    expect(exitCode).toBe(130);
    expect(await requestOf(id)).toMatchObject({ state: "pending" });
    await company.alice.expect(["withdraw", id]);
  });

  test("is told by the inbox when another was faster, and by the bell of what comes", async (context) => {
    requireTerminal(context);
    const first = await ask("the first");
    const window = decide(carol, ["inbox"]);
    await window.shows("[y] approve");
    await company.bob.expect(["deny", first, "--reason", "was me"]);
    await window.shows(`${first} is no longer yours to decide. bob denied it: was me`);
    await window.shows("q ends");
    const second = await ask("the second");
    await window.shows("\u0007");
    await window.shows("[y] approve");
    // Before that a key could have been meant for the one that is gone.
    await instant(Date.now() + settleMs);
    window.press("d");
    await window.shows("Why?");
    window.press("not now\r");
    await window.shows("Denied: alice does not get prod-orders.");
    await window.shows("q ends");
    window.press("q");
    const { exitCode, screen } = await window.ended();
    expect(screen).not.toContain("left raw");
    expect(exitCode).toBe(0);
    expect(await requestOf(second)).toMatchObject({ state: "denied", decisionReason: "not now" });
  });
});

describe("an inbox that programs read", () => {
  test("prints a line for each request, over a restart of the server, until it is interrupted", async () => {
    const { installation } = company;
    const inbox = company.start(company.bob, ["inbox", "--json"]);
    const said = { out: "", talk: "" };
    inbox.stdout?.on("data", (chunk) => {
      said.out += String(chunk);
    });
    inbox.stderr?.on("data", (chunk) => {
      said.talk += String(chunk);
    });
    const tells = (stream: keyof typeof said, text: string) =>
      eventually(`it tells ${text}`, () => said[stream].includes(text), 20_000);
    const first = await ask("before");
    await tells("out", `"id":"${first}"`);
    await installation.killServer();
    await tells("talk", "Connection lost, trying again.");
    await installation.startServer();
    await tells("talk", "Back after");
    const second = await ask("after");
    await tells("out", `"id":"${second}"`);
    inbox.kill("SIGINT");
    const { exitCode, stdout } = await inbox;
    expect(exitCode).toBe(0);
    const ids = String(stdout)
      .split("\n")
      .map((text) => (JSON.parse(text) as RequestView).id);
    expect(ids).toEqual([first, second]);
  });
});
