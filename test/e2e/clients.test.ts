// Real clients through `jitdb connect`: psql, pgbench, the pg library, and raw messages where those hide too much.

import { createHash, type Hash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { prepareDatabase } from "../support/installation.ts";
import { runProgram, waitForOutput } from "../support/programs.ts";
import {
  clientEnvironment,
  findProgram,
  psql,
  requireProgram,
  scriptRunners,
} from "../support/psql.ts";
import { Company, type Door } from "./company.ts";
import { copyIn, copyOut, openWire } from "./wire.ts";

let company: Company;
let door: Door;
beforeAll(async () => {
  company = await Company.found({
    async prepare(installation) {
      await installation.asSuperuser(`
        SET ROLE orders_app;
        CREATE TABLE app.bytes (id int, body text);
        CREATE FUNCTION app.warn(what text) RETURNS void LANGUAGE plpgsql
          AS $$ BEGIN RAISE NOTICE 'mind the %', what; END $$`);
      // The DBA's SQL once more, for what is new in the schema.
      await prepareDatabase(installation);
    },
  });
  door = await company.open("10m");
});
afterAll(() => company?.close());

describe.each(scriptRunners)("a script through $name", (runner) => {
  test("gets its rows, byte for byte", async (context) => {
    runner.require(context);
    const { rows, error } = await runner.run(door, [
      "SELECT 1, NULL, 'äöü €  𝄞'",
      "SELECT n FROM generate_series(1, 3) AS n",
      "SELECT repeat('x', 100000)",
    ]);
    expect(error).toBeUndefined();
    expect(rows).toEqual(["1||äöü €  𝄞", "1", "2", "3", "x".repeat(100_000)]);
  });

  test("gets errors with their SQLSTATE", async (context) => {
    runner.require(context);
    expect(await runner.run(door, ["SELECT 1 / (SELECT 0)"])).toEqual({
      rows: [],
      notices: [],
      error: { sqlstate: "22012", message: "division by zero" },
    });
    expect(await runner.run(door, ["SELECT * FROM app.nothing"])).toMatchObject({
      error: { sqlstate: "42P01", message: 'relation "app.nothing" does not exist' },
    });
  });

  test("gets notices", async (context) => {
    runner.require(context);
    const { notices } = await runner.run(door, ["SELECT app.warn('gap')"]);
    expect(notices).toEqual(["mind the gap"]);
  });

  test("has transactions, and what was rolled back did not happen", async (context) => {
    runner.require(context);
    const { rows } = await runner.run(door, [
      "BEGIN",
      "INSERT INTO app.bytes VALUES (1, 'kept')",
      "SAVEPOINT before",
      "INSERT INTO app.bytes VALUES (2, 'undone')",
      "ROLLBACK TO before",
      "COMMIT",
      "BEGIN",
      "INSERT INTO app.bytes VALUES (3, 'undone too')",
      "ROLLBACK",
      "SELECT body FROM app.bytes ORDER BY id",
      "DELETE FROM app.bytes",
    ]);
    expect(rows).toEqual(["kept"]);
  });
});

describe("the extended protocol", () => {
  test("keeps prepared statements, parameters and types of the pg library", async () => {
    const client = await door.client();
    const city = { name: "by-city", text: "SELECT id, name FROM app.customers WHERE city = $1" };
    for (const [value, count] of [
      ["Oslo", 10],
      ["Atlantis", 0],
      ["Quito", 10],
    ] as const) {
      expect((await client.query({ ...city, values: [value] })).rowCount).toBe(count);
    }
    const binary = randomBytes(300);
    const { rows } = await client.query("SELECT $1::bytea AS b, $2::int[] AS i, $3::text AS n", [
      binary,
      [1, 2],
      null,
    ]);
    expect(rows).toEqual([{ b: binary, i: [1, 2], n: null }]);
    await expect(client.query("SELECT $1::int", ["x"])).rejects.toMatchObject({ code: "22P02" });
    const named = await client.query("SELECT name FROM pg_prepared_statements WHERE name <> ''");
    expect(named.rows).toEqual([{ name: "by-city" }]);
    await client.end();
  });

  test.for(["simple", "extended", "prepared"])("carries pgbench -M %s", async (mode, context) => {
    requireProgram("pgbench", context);
    const script = join(company.installation.folder, "pgbench.sql");
    await writeFile(
      script,
      "\\set id random(1, 500)\nSELECT item, cents FROM app.orders WHERE id = :id;\n",
    );
    const args = ["-n", "-c", "2", "-T", "2", "-M", mode, "-f", script];
    const { exitCode, stdout } = await execa(findProgram("pgbench") ?? "", args, {
      env: clientEnvironment(door),
      extendEnv: false,
      reject: false,
    });
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/number of failed transactions: 0 /);
    expect(Number(/actually processed: (\d+)/.exec(stdout)?.[1])).toBeGreaterThan(50);
  });
});

describe("COPY", () => {
  const lines = 200_000;
  /** About 14 MB that do not repeat, the same each time. */
  function* data(): Generator<Buffer> {
    for (let from = 0; from < lines; from += 1000) {
      const part = Array.from({ length: 1000 }, (_, n) => {
        const body = createHash("sha256")
          .update(`line ${from + n}`)
          .digest("hex");
        return `${from + n}\t${body}\n`;
      });
      yield Buffer.from(part.join(""));
    }
  }
  function hashOf(pieces: Iterable<Uint8Array>): string {
    const hash = createHash("sha256");
    for (const piece of pieces) {
      hash.update(piece);
    }
    return hash.digest("hex");
  }

  test("goes in and out through psql, byte for byte", async (context) => {
    requireProgram("psql", context);
    const [source, target] = ["in.copy", "out.copy"].map((name) =>
      join(company.installation.folder, name),
    );
    await writeFile(source ?? "", data());
    const put = await psql(door, ["-c", `\\copy app.bytes FROM '${source}'`]);
    expect(put).toMatchObject({ exitCode: 0, stderr: "" });
    const query = "SELECT id, body FROM app.bytes ORDER BY id";
    const got = await psql(door, ["-c", `\\copy (${query}) TO '${target}'`]);
    expect(got).toMatchObject({ exitCode: 0, stderr: "" });
    const hash: Hash = createHash("sha256");
    for await (const piece of createReadStream(target ?? "")) {
      hash.update(piece as Buffer);
    }
    expect(hash.digest("hex")).toBe(hashOf(data()));
    await psql(door, ["-c", "DELETE FROM app.bytes"]);
  });

  test("goes in and out as raw messages, byte for byte", async () => {
    const wire = await openWire(door);
    expect(await copyIn(wire, "COPY app.bytes FROM STDIN", data())).toBe(`COPY ${lines}`);
    const hash = createHash("sha256");
    for await (const piece of copyOut(
      wire,
      "COPY (SELECT id, body FROM app.bytes ORDER BY id) TO STDOUT",
    )) {
      hash.update(piece);
    }
    expect(hash.digest("hex")).toBe(hashOf(data()));
    expect((await wire.query("DELETE FROM app.bytes")).tags).toEqual([`DELETE ${lines}`]);
    wire.stream.socket.destroy();
  });

  test("that breaks in the middle keeps nothing and leaves the session usable", async () => {
    const wire = await openWire(door);
    const broken = copyIn(wire, "COPY app.bytes FROM STDIN", [
      Buffer.from("1\tgood\n"),
      Buffer.from("no number\tbad\n"),
    ]);
    await expect(broken).rejects.toThrow("22P02");
    expect((await wire.query("SELECT count(*) FROM app.bytes")).rows).toEqual([["0"]]);
    wire.stream.socket.destroy();
  });
});

describe("a cancel", () => {
  test("at Ctrl-C in psql ends the query, and the session lives", async (context) => {
    requireProgram("psql", context);
    // util-linux's script gives psql a terminal, where Ctrl-C is not its end.
    const child = execa("script", ["-qec", `${findProgram("psql")} -X -A -t`, "/dev/null"], {
      env: { ...clientEnvironment(door), TERM: "dumb", PAGER: "cat" },
      extendEnv: false,
      reject: false,
    });
    const screen = { text: "" };
    child.stdout.on("data", (chunk) => {
      screen.text += String(chunk);
    });
    child.stdin.write("SELECT 'pid', pg_backend_pid();\nSELECT pg_sleep(60);\n");
    await eventually("it sleeps", () => company.runs("%pg_sleep(60)%"));
    child.stdin.write("\x03");
    await eventually("it says so", () => screen.text.includes("canceling statement due to user"));
    child.stdin.write("SELECT 'same', pg_backend_pid();\n\\q\n");
    await child;
    const [, before] = /pid\|(\d+)/.exec(screen.text) ?? [];
    const [, after] = /same\|(\d+)/.exec(screen.text) ?? [];
    expect(after).toBe(before);
    expect(before).toBeDefined();
  });

  test("of the pg library ends the query of its own session alone", async () => {
    const [one, other] = await Promise.all([door.client(), door.client()]);
    const cut = one.query("SELECT pg_sleep(60)").catch((error: unknown) => error);
    const whole = other.query("SELECT pg_sleep(1), 'untouched' AS it");
    await eventually("both run", () => company.runs("%pg_sleep%", 2));
    cancel(one);
    expect(await cut).toMatchObject({ code: "57014" });
    expect((await whole).rows).toMatchObject([{ it: "untouched" }]);
    expect((await one.query("SELECT 1 AS alive")).rows).toEqual([{ alive: 1 }]);
    await Promise.all([one.end(), other.end()]);
  });

  /** What libpq's PQcancel does: a connection of its own, with the key of the session. */
  function cancel(target: pg.Client): void {
    const { socket: host, port, database, user } = door.ready;
    const messenger = new pg.Client({ host, port, database, user });
    const { processID, secretKey } = target as unknown as Record<string, number>;
    const { connection } = messenger as unknown as { connection: CancelConnection };
    connection.on("connect", () => connection.cancel(processID, secretKey));
    connection.connect(`${host}/.s.PGSQL.${port}`);
  }
  interface CancelConnection {
    on(event: "connect", listener: () => void): void;
    connect(path: string): void;
    cancel(processId: number | undefined, secret: number | undefined): void;
  }
});

describe("clients of all sorts", () => {
  test("listen and notify across sessions", async () => {
    const [listener, notifier] = await Promise.all([door.client(), door.client()]);
    const heard = new Promise((resolve) => {
      listener.on("notification", ({ channel, payload, processId }) =>
        resolve({ channel, payload, processId }),
      );
    });
    await listener.query("LISTEN orders");
    const [{ pid }] = (await notifier.query("SELECT pg_backend_pid() AS pid")).rows;
    await notifier.query("NOTIFY orders, 'order 17'");
    expect(await heard).toEqual({ channel: "orders", payload: "order 17", processId: pid });
    await Promise.all([listener.end(), notifier.end()]);
  });

  test("that leave without a goodbye, as one that is killed does, have their connection closed like anywhere, so that no place at the agent stays taken", async () => {
    const client = await door.client();
    await client.query("SELECT 1");
    const { stream } = (client as unknown as { connection: { stream: Socket } }).connection;
    client.on("error", () => undefined);
    const ended = once(stream, "end", { signal: AbortSignal.timeout(5000) });
    stream.end();
    await ended;
  });

  test("connect over TCP as a GUI does, with the password that was saved for it, and with no other", async () => {
    const { host, port, database, user, password } = door.ready;
    const client = new pg.Client({ host, port, database, user, password });
    await client.connect();
    expect((await client.query("SELECT 1 AS one")).rows).toEqual([{ one: 1 }]);
    await client.end();
    const wrong = new pg.Client({ host, port, database, user, password: "wrong" });
    await expect(wrong.connect()).rejects.toMatchObject({ code: "28P01" });
  });

  test("connect by the line and the password file that connect prints", async (context) => {
    requireProgram("psql", context);
    const child = company.start(company.alice, ["connect", "prod-orders", "--port", "0"]);
    const pasted = waitForOutput(child, "stdout", /psql .*(?=\n)/);
    let said = "";
    child.stderr?.on("data", (chunk) => {
      said += String(chunk);
    });
    const [, file] = await eventually(
      "it names the file",
      () => /password in (\S+),/.exec(said) ?? undefined,
    );
    const [, port = ""] = /port (\d+)/.exec(said) ?? [];
    const place = { PGHOST: "127.0.0.1", PGPORT: port, PGDATABASE: "orders", PGUSER: "alice" };
    const environment = { ...place, PGPASSFILE: file ?? "" };
    expect(await psql({ environment }, ["-c", "SELECT 'in'"])).toMatchObject({ stdout: "in" });
    const refused = await psql({ environment: place }, ["-c", "SELECT 'in'"]);
    expect(refused).toMatchObject({ exitCode: 2, stdout: "" });
    // What it prints for another terminal works as it is, with nothing to type.
    const [line] = await pasted;
    const shell = ["-c", `${line} -X -A -t -c "SELECT 'pasted'"`];
    const options = { env: clientEnvironment({ environment: {} }), extendEnv: false };
    expect(await execa("sh", shell, options)).toMatchObject({ stdout: "pasted" });
    child.kill("SIGINT");
    expect(await child).toMatchObject({ exitCode: 0 });
  });

  test("need no PostgreSQL client at all with jitdb sql", async () => {
    const commands = [
      "SELECT count(*) AS n FROM app.customers",
      "SELECT 1 / (SELECT 0)",
      "SELECT 2",
    ];
    const args = [
      "sql",
      "prod-orders",
      "--format",
      "csv",
      ...commands.flatMap((sql) => ["-c", sql]),
    ];
    const { home } = company.alice;
    expect(await runProgram("jitdb", args, { home })).toMatchObject({
      exitCode: 1,
      stdout: expect.stringMatching(/^n\n40\n/),
      stderr: expect.stringContaining("division by zero (22012)"),
    });
  });

  test("open thirty sessions in one tunnel at once, and each gets its own rows", async () => {
    const answers = await Promise.all(
      Array.from({ length: 30 }, async (_, n) => {
        const client = await door.client();
        const { rows } = await client.query(
          "SELECT $1::int AS n, count(*)::int AS c FROM app.orders",
          [n],
        );
        await client.end();
        return rows[0];
      }),
    );
    expect(answers).toEqual(Array.from({ length: 30 }, (_, n) => ({ n, c: 500 })));
    expect((await company.journal()).of("tunnel.opened").length).toBeLessThan(10);
  });
});
