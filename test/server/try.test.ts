// jitdb-server try, from a URL of somebody's own database to the SQL that prepares it.

import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { type Child, runProgram, startProgram, waitForOutput } from "../support/programs.ts";

let postgres: RunningPostgres;
let folder: string;
let children: Child[];

beforeAll(async () => {
  postgres = await startPostgres({ version: "system" });
  await query("postgres", 'CREATE DATABASE "My Shop"');
  await query("My Shop", "CREATE SCHEMA app CREATE TABLE items (id int)");
}, 60_000);

afterAll(async () => await postgres?.stop());

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "jitdb-try-"));
  children = [];
});

afterEach(async () => {
  for (const child of children) {
    child.kill("SIGKILL");
    await child;
  }
  await rm(folder, { recursive: true, force: true });
});

async function query(database: string, sql: string): Promise<void> {
  const client = new pg.Client(postgres.url(database));
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Starts `try`, and gives what it printed once it is ready. */
async function tryOut(url: string): Promise<string> {
  const child = startProgram("jitdb-server", ["try", url, "--admin", "me"], { home: folder });
  children.push(child);
  child.stderr?.resume();
  const [text] = await waitForOutput(child, "stdout", /[\s\S]*Start it again later.*/);
  return text;
}

async function allFiles(): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile());
  const texts = files.map((file) => readFile(join(file.parentPath, file.name), "latin1"));
  return (await Promise.all(texts)).join("\n");
}

describe("try", () => {
  it("prints the commands to a first query, and the SQL that it names works", async () => {
    const text = await tryOut(postgres.url("My Shop"));
    const [, url] = /^Ready: (http:\/\/127\.0\.0\.1:\d+)\./.exec(text) ?? [];
    expect(text).toContain(
      `psql 'postgres://postgres@127.0.0.1:${postgres.port}/My%20Shop' -v ON_ERROR_STOP=1 -f jitdb-try/jitdb-setup.sql`,
    );
    expect(text).toContain(`${url}/setup/`);
    expect(text).toContain(`jitdb login ${url}`);
    expect(text).toContain("jitdb request my-shop --for 30m");
    expect(text).toContain("jitdb psql my-shop");
    const sql = await readFile(join(folder, "jitdb-try", "jitdb-setup.sql"), "utf8");
    await query("My Shop", sql);
    const { exitCode, stdout } = await runProgram(
      "jitdb-server",
      ["check", "--config", "jitdb-try/jitdb.yaml"],
      { home: folder },
    );
    expect(exitCode, stdout).toBe(0);
  });

  it("keeps the URL's password to itself, and its own out of the SQL (invariants 36 and 37)", async () => {
    const text = await tryOut(postgres.url("My Shop"));
    expect(text).not.toContain(postgres.password);
    expect(await allFiles()).not.toContain(postgres.password);
    const own = await readFile(join(folder, "jitdb-try", "admin.password"), "utf8");
    const sql = await readFile(join(folder, "jitdb-try", "jitdb-setup.sql"), "utf8");
    expect(sql).not.toContain(own.trim());
    expect(sql).toContain("SCRAM-SHA-256$4096:");
  });

  it("fills in the schemas that hold tables", async () => {
    await tryOut(postgres.url("My Shop"));
    const yaml = await readFile(join(folder, "jitdb-try", "jitdb.yaml"), "utf8");
    expect(yaml).toMatch(/schemas:\n\s+- app\n/);
  });

  it("goes on with public where it can't log in, and says so", async () => {
    const url = `postgres://nobody:wrong@127.0.0.1:${postgres.port}/shop`;
    const child = startProgram("jitdb-server", ["try", url, "--admin", "me"], { home: folder });
    children.push(child);
    child.stdout?.resume();
    await waitForOutput(child, "stderr", /Could not log in to look for schemas .*\nTook "public"/);
  });

  it("writes nothing where no database answers", async () => {
    const { exitCode, stderr } = await runProgram(
      "jitdb-server",
      ["try", "postgres://me:canary@127.0.0.1:1/shop"],
      { home: folder },
    );
    expect(exitCode).toBe(11);
    expect(stderr).toMatch(/^error: No PostgreSQL answers at 127\.0\.0\.1:1\.\nhint: /);
    expect(stderr).not.toContain("canary");
    expect(await readdir(folder)).toEqual([]);
  });

  it("writes nothing for a database that is not there", async () => {
    const url = postgres.url("My Shpo");
    const { stderr } = await runProgram("jitdb-server", ["try", url], { home: folder });
    expect(stderr).toMatch(
      /^error: There is no database "My Shpo" at [^\n]+:\d+\.\nhint: Check the URL/,
    );
    expect(await readdir(folder)).toEqual([]);
  });

  it("refuses what is no URL without repeating it", async () => {
    const { exitCode, stderr } = await runProgram("jitdb-server", ["try", "mysql://me:canary@x"], {
      home: folder,
    });
    expect(exitCode).toBe(2);
    expect(stderr).not.toContain("canary");
  });
});
