import { existsSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import pg from "pg";
import { afterEach, describe, expect, test } from "vitest";
import { type RunningPostgres, startPostgres } from "./postgres.ts";
import { testedVersions } from "./versions.ts";

describe("the throwaway PostgreSQL", () => {
  const running: RunningPostgres[] = [];
  afterEach(async () => {
    await Promise.all(running.splice(0).map((server) => server.stop()));
  });

  async function start(options: Parameters<typeof startPostgres>[0]): Promise<RunningPostgres> {
    const server = await startPostgres(options);
    running.push(server);
    return server;
  }

  async function query(server: RunningPostgres, sql: string): Promise<unknown[]> {
    const client = new pg.Client({ connectionString: server.url() });
    await client.connect();
    try {
      return (await client.query({ text: sql, rowMode: "array" })).rows;
    } finally {
      await client.end();
    }
  }

  test.each(testedVersions)("starts the %s server, logs and leaves nothing", async (version) => {
    const server = await start({ version, settings: { log_statement: "all" } });
    expect(await query(server, "select 'canary' || 1")).toEqual([["canary1"]]);
    expect(await readFile(server.serverLog, "utf8")).toContain("select 'canary' || 1");
    await server.stop();
    expect(existsSync(dirname(server.serverLog))).toBe(false);
  });

  test("starts two at once on ports of their own", async () => {
    const [a, b] = await Promise.all([start({ version: "system" }), start({ version: "system" })]);
    expect(a.port).not.toBe(b.port);
  });

  test("comes back on the same port after a crash", async () => {
    const server = await start({ version: "system" });
    const { port } = server;
    await query(server, "create table kept (id int)");
    await server.crash();
    await expect(query(server, "select 1")).rejects.toThrow();
    await server.restart();
    expect(server.port).toBe(port);
    expect(await query(server, "select count(*)::int from kept")).toEqual([[0]]);
  });

  test("falls back to the temp folder where the server's user may not enter the one asked for", async () => {
    const closed = await mkdtemp(join(tmpdir(), "jitdb-closed-"));
    await chmod(closed, 0o700);
    try {
      const server = await start({ version: "system", folder: closed });
      expect(await query(server, "select 1")).toEqual([[1]]);
      await server.stop();
    } finally {
      await rm(closed, { recursive: true });
    }
  });
});
