// What `jitdb-server check` finds in sound policies, as a person reads it.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import {
  type Child,
  type Ended,
  runProgram,
  startProgram,
  waitForOutput,
} from "../support/programs.ts";

let folder: string;
let server: Child | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "jitdb-check-"));
  server = undefined;
});

afterEach(async () => {
  server?.kill("SIGKILL");
  await server;
  await rm(folder, { recursive: true, force: true });
});

async function run(...args: string[]): Promise<Ended> {
  return await runProgram("jitdb-server", args, { home: folder });
}

async function freePort(): Promise<number> {
  const holder = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => holder.once("listening", resolve));
  const address = holder.address();
  await new Promise((resolve) => holder.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

const policies = `databases:
  prod-orders:
    host: 127.0.0.1
    port: 1
    database: orders
    tls: { mode: disable }
    admin: { password: "\${file:master.key}" }
    profiles: { read-write: {}, admin: {} }
policies:
  - name: careful
    who: { groups: [developers] }
    profiles: [read-write]
    maxDuration: 1h
    approval: { count: 2, groups: [dba] }
  - name: admin
    who: { groups: [developers] }
    profiles: [admin]
    maxDuration: 1h
    approval: { count: 1, groups: [dba] }
`;

async function install(): Promise<void> {
  await run("init", "--listen", `127.0.0.1:${await freePort()}`);
  const file = join(folder, "jitdb.yaml");
  const written = (await readFile(file, "utf8")).replace(/^(databases|policies):.*$/gm, "");
  await writeFile(file, `${written}\n${policies}`);
}

it("names the policy that lets one person approve what another one wants two for, as the documentation shows it", async () => {
  await install();
  const { exitCode, stdout, stderr } = await run("check", "--offline");
  const docs = await readFile(
    join(import.meta.dirname, "..", "..", "docs", "operations.md"),
    "utf8",
  );
  const [, shown = ""] = /^jitdb\.yaml:\d+:5: (warning: the policy careful .*)$/m.exec(docs) ?? [];
  expect(stdout).toMatch(/^jitdb\.yaml:\d+:5: warning: the policy careful /);
  expect(stdout.replace(/^jitdb\.yaml:\d+:5: /, "")).toBe(shown);
  expect(stderr).toBe("jitdb.yaml is sound. Databases were not looked at.");
  expect(exitCode).toBe(0);
});

it("explains what a policy says to whoever had enough, and to whoever does not say how long", async () => {
  await install();
  const file = join(folder, "jitdb.yaml");
  const careful = "    approval: { count: 2, groups: [dba] }\n";
  const written = await readFile(file, "utf8");
  const more = `    defaultDuration: 20m\n    when: recent.here.day.grants < 3 && device.id != "lost"\n`;
  await writeFile(file, written.replace(careful, `${careful}${more}`));
  const ask = ["policy", "explain", "prod-orders", "read-write", "--as", "alice"];
  const explain = (...args: string[]) => run(...ask, "--groups", "developers", ...args);
  expect((await explain()).stdout).toContain("How long: 1h at the most, and 20m without --for.");
  for (const args of [
    ["--recent-grants", "3"],
    ["--device", "lost"],
  ]) {
    expect((await explain(...args)).stdout).toMatch(/^Refused: .* does not hold\. /);
  }
  const wrong = await explain("--recent-minutes", "many");
  expect(wrong.stderr).toContain('error: --recent-minutes is a whole number, not "many".');
  expect(wrong.exitCode).toBe(2);
});

it("knows by a running server that too few can approve, and that nobody is in a group", async () => {
  await install();
  server = startProgram("jitdb-server", ["start"], { home: folder });
  server.stderr?.resume();
  await waitForOutput(server, "stdout", /^Ready: /m);
  const empty = await run("check");
  expect(empty.stdout).toContain("the policy careful lets nobody ask: nobody is in developers.");
  expect(empty.stdout).toContain(
    "the policy admin can't be approved for any request: it wants 1 of dba (nobody)",
  );
  await run("users", "add", "alice", "--groups", "developers");
  await run("users", "add", "bob", "--groups", "developers", "dba");
  const { stdout } = await run("check");
  expect(stdout).toContain(
    "the policy careful can't be approved for any request: it wants 2 of dba (bob)",
  );
  expect(stdout).toContain(
    "the policy admin can't be approved for requests of bob: it wants 1 of dba (bob)",
  );
});
