// The audit held against the database's own log, and secrets looked for wherever somebody could find them.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  encodeBind,
  encodeExecute,
  encodeFunctionCall,
  encodeParse,
  encodeQuery,
  encodeSync,
} from "@jitdb/shared/postgres/encoder";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requireConfig } from "../../packages/server/src/config/load.ts";
import { deriveDatabaseKey, derivePassword } from "../../packages/server/src/credentials/keys.ts";
import { eventually } from "../support/eventually.ts";
import { psql, requireProgram } from "../support/psql.ts";
import { Company, type Door } from "./company.ts";
import { loggingSettings, statementsInLog } from "./server-log.ts";
import { copyIn, copyOut, openWire, type Wire } from "./wire.ts";

let company: Company;
let door: Door;
beforeAll(async () => {
  company = await Company.found({ postgresSettings: loggingSettings });
  door = await company.open("10m");
});
afterAll(() => company?.close());

async function databaseLog(): Promise<string> {
  return await readFile(company.installation.postgres.serverLog, "utf8");
}

describe("every statement in the database's own log is in the audit (invariant 21)", () => {
  const bytes = (text: string) => new TextEncoder().encode(text);

  async function expectAllRecorded(): Promise<number> {
    const ran = statementsInLog(await databaseLog(), /^jit_/);
    const recorded = (await company.journal()).statements();
    expect(ran.filter((statement) => !recorded.has(statement))).toEqual([]);
    return ran.length;
  }

  test("after simple queries, several in one, failing ones, cursors and SQL's own PREPARE", async () => {
    const client = await door.client();
    const statements = [
      "SELECT 1",
      "SELECT 1; SELECT 2;;\n-- the end\n",
      "/* a 'quote' */ SELECT $$;$$, E'\\\\', \"n\" FROM (SELECT 'ä€𝄞\t' AS \"n\") AS x",
      "SELECT 1 / (SELECT 0)",
      "SELEC 1",
      "DO $$ BEGIN PERFORM 1; EXECUTE 'SELECT 2'; END $$",
      "PREPARE own (int) AS SELECT $1 + 1",
      "EXECUTE own (41)",
      "BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 10)",
      "FETCH 3 FROM c",
      "COMMIT",
      "SET application_name TO 'bob'",
      " ",
    ];
    for (const text of statements) {
      await client.query(text).catch((error: pg.DatabaseError) => {
        expect(error.code).toMatch(/22012|42601/);
      });
    }
    await client.end();
    expect(await expectAllRecorded()).toBeGreaterThanOrEqual(statements.length - 2);
    // What a client calls itself changes nothing about whom the record names (invariant 25).
    const people = (await company.journal()).of("statement.intent").map(({ person }) => person);
    expect(new Set(people)).toEqual(new Set(["alice"]));
  });

  test("after pipelines, named and unnamed statements, and portals that are read in pieces", async () => {
    const wire = await openWire(door);
    const parse = (name: string, text: string) =>
      encodeParse({ statement: bytes(name), text: bytes(text), parameterTypes: [] });
    const bind = (portal: string, statement: string, parameters: string[]) =>
      encodeBind({
        portal: bytes(portal),
        statement: bytes(statement),
        parameterFormats: [],
        parameters: parameters.map(bytes),
        resultFormats: [],
      });
    const execute = (portal: string, maxRows = 0) =>
      encodeExecute({ portal: bytes(portal), maxRows });
    await wire.send(
      parse("s1", "SELECT 'first', $1::text"),
      bind("", "s1", ["one"]),
      execute(""),
      parse("", "SELECT generate_series(1, $1::int)"),
      bind("p", "", ["10"]),
      execute("p", 3),
      execute("p"),
      bind("", "s1", ["two"]),
      execute(""),
      encodeSync(),
    );
    expect((await wire.result()).rows).toHaveLength(12);
    // The pipeline that fails: s1 stays what it was, and the audit must not believe the client.
    await wire.send(parse("bad", "SELEC nothing"), parse("s1", "SELECT 'harmless'"), encodeSync());
    expect((await wire.result()).error?.code).toBe("42601");
    await wire.send(bind("", "s1", ["three"]), execute(""), encodeSync());
    expect((await wire.result()).rows).toEqual([["first", "three"]]);
    wire.stream.socket.destroy();
    await expectAllRecorded();
    const harmless = (await company.journal())
      .of("statement.intent")
      .filter((one) => one.protocol === "execute" && JSON.stringify(one).includes("harmless"));
    expect(harmless).toEqual([]);
  });

  test("after function calls, which have no text, and COPY, whose volume is recorded", async () => {
    const wire = await openWire(door);
    const [{ oid }] = (await company.installation.asSuperuser<{ oid: number }>(
      "SELECT 'pg_catalog.abs(int)'::regprocedure::int AS oid",
    )) as [{ oid: number }];
    await wire.send(
      encodeFunctionCall({
        functionOid: oid,
        argumentFormats: [0],
        arguments: [bytes("-5")],
        resultFormat: 0,
      }),
    );
    expect((await wire.result()).error).toBeUndefined();
    await wire.query("BEGIN");
    const line = Buffer.from("carol\tRome\n");
    await copyIn(wire, "COPY app.customers (name, city) FROM STDIN", [line, line]);
    let copied = 0;
    for await (const piece of copyOut(wire, "COPY app.customers TO STDOUT")) {
      copied += piece.length;
    }
    await wire.query("ROLLBACK");
    wire.stream.socket.destroy();
    await expectAllRecorded();
    const journal = await company.journal();
    const calls = journal.of("statement.intent").filter((one) => one.protocol === "function");
    expect(calls).toMatchObject([{ function: oid, parameters: ["-5"] }]);
    const outcomes = journal.of("statement.outcome").filter(({ tag }) => tag?.startsWith("COPY"));
    expect(outcomes).toMatchObject([
      { tag: "COPY 2", bytesIn: 2 * line.length },
      { tag: "COPY 42", bytesOut: copied },
    ]);
  });

  test("after three sessions at once, and people find them with jitdb audit", async () => {
    await Promise.all(
      ["a", "b", "c"].map(async (session) => {
        const client = await door.client();
        for (let n = 0; n < 100; n++) {
          const [text, values, name] =
            n % 3 === 0
              ? ["SELECT $1::int AS of_session", [n], "numbers"]
              : [`SELECT '${session} ${n}', count(*) FROM app.orders`, [], `n${n}`];
          await client.query(n % 2 === 0 ? { name, text, values } : { text, values });
        }
        await client.end();
      }),
    );
    expect(await expectAllRecorded()).toBeGreaterThan(200);
    const shown = await company.bob.expect([
      "audit",
      "--database",
      "prod-orders",
      "--limit",
      "500",
    ]);
    expect(shown).toMatch(/SELECT '[abc] 98'/);
    expect((await company.journal()).firstBreak()).toBeUndefined();
  });

  test("after psql's own questions about the catalogue", async (context) => {
    requireProgram("psql", context);
    const { exitCode } = await psql(door, [
      "-c",
      "\\d+ app.orders",
      "-c",
      "\\dp app.*",
      "-c",
      "\\l",
    ]);
    expect(exitCode).toBe(0);
    await expectAllRecorded();
  });
});

describe("secrets", () => {
  /** The true password of the grant's user, made as the server makes it. */
  async function ephemeralPassword(): Promise<{ user: string; password: string }> {
    const [user = ""] = await company.installation.ephemeralUsers();
    const { config } = requireConfig(join(company.installation.serverFolder, "jitdb.yaml"));
    const key = deriveDatabaseKey(config.masterKey, "prod-orders");
    return { user, password: derivePassword(key, { userName: user, generation: 1 }).reveal() };
  }

  async function adminPassword(): Promise<string> {
    return await readFile(join(company.installation.serverFolder, "orders.password"), "utf8");
  }

  /** Everything that the client was sent. */
  function tap(wire: Wire): Buffer[] {
    const received: Buffer[] = [];
    wire.stream.socket.on("data", (chunk: Buffer) => received.push(chunk));
    return received;
  }

  test("a failing statement that makes a user leaves no password in the database's log (invariant 36)", async () => {
    await company.revokeAll();
    // Its user could not be dropped without that right, either, and would be tried again seconds later.
    await eventually("the last grant's user is gone", async () => {
      return (await company.installation.ephemeralUsers()).length === 0;
    });
    await company.installation.asSuperuser("ALTER ROLE jitdb_admin NOCREATEROLE");
    const granted = company.open("10m");
    await eventually("the database refuses", async () =>
      /permission denied to create role/.test(await databaseLog()),
    );
    await company.installation.asSuperuser("ALTER ROLE jitdb_admin CREATEROLE");
    door = await granted;
    const log = await databaseLog();
    expect(log).toMatch(/STATEMENT: {2}CREATE ROLE .* PASSWORD 'SCRAM-SHA-256\$/);
    const { password } = await ephemeralPassword();
    expect(log).not.toContain(password);
    expect(log).not.toContain(await adminPassword());
  });

  test("are not what a client is sent, whatever fails (invariant 18)", async () => {
    const wire = await openWire(door);
    const received = tap(wire);
    await wire.query("SELECT version(), inet_server_port()");
    await wire.send(encodeQuery("SELECT * FROM pg_authid"));
    expect((await wire.result()).error?.code).toBe("42501");
    const { installation } = company;
    await installation.postgres.crash();
    const refused = door.client();
    const error = await refused.then(
      () => undefined,
      (thrown: pg.DatabaseError) => thrown,
    );
    await installation.postgres.restart();
    expect(error).toMatchObject({ code: "08006", message: expect.stringContaining("prod-orders") });
    const said = [JSON.stringify({ ...error, message: error?.message }), ...received.map(String)];
    const { user, password } = await ephemeralPassword();
    for (const secret of [password, await adminPassword(), "jitdb_admin"]) {
      expect(said.join("\n")).not.toContain(secret);
    }
    expect(said[0]).not.toContain(user);
    expect(said[0]).not.toContain(String(installation.postgres.port));
    wire.stream.socket.destroy();
  });

  test("are in no file but the operator's own, in no log, and on no command line or environment (invariants 36, 37)", async () => {
    const { user, password } = await ephemeralPassword();
    const admin = await adminPassword();
    // The canary is alive: the database takes it, until the gateway ends what is not its own.
    const { host, port } = company.installation.postgres;
    const outside = new pg.Client({ host, port, database: "orders", user, password });
    outside.on("error", () => undefined);
    await outside.connect();
    await outside.end();
    const client = await door.client();
    await client.query("SELECT 1");
    const { alice, bob, installation } = company;
    const places = [
      ...(await filesBelow(alice.home)),
      ...(await filesBelow(bob.home)),
      ...(await filesBelow(installation.serverFolder)),
      ...(await processFiles()),
      installation.postgres.serverLog,
    ].filter((path) => path !== join(installation.serverFolder, "orders.password"));
    const finds: string[] = [];
    for (const path of places) {
      // Sockets, and processes that have ended since.
      const content = await readFile(path).catch(() => Buffer.alloc(0));
      finds.push(...[password, admin].filter((it) => content.includes(it)).map(() => path));
    }
    expect(places.length).toBeGreaterThan(30);
    expect(finds).toEqual([]);
    expect(installation.serverLog).not.toContain(password);
    expect(installation.serverLog).not.toContain(admin);
    expect(installation.serverLog).toContain("answered");
    await client.end();
  });

  async function filesBelow(folder: string): Promise<string[]> {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((one) => join(one.parentPath, one.name));
  }

  /** Command lines and environments of every process that may be read. */
  async function processFiles(): Promise<string[]> {
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    return pids.flatMap((pid) => [`/proc/${pid}/cmdline`, `/proc/${pid}/environ`]);
  }
});
