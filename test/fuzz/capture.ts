// Records the corpus: sessions of real programs with real servers, through a proxy that notes what passes. Run by hand,
// `npm run fuzz -- --record`, when a program or a server is worth adding.

import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { execa } from "execa";
import pg from "pg";
import { type PostgresVersion, type RunningPostgres, startPostgres } from "../support/postgres.ts";
import { corpusFolder } from "./corpus.ts";
import { formatInput, type Step } from "./input.ts";

/** Bytes of one capture: enough to be like the program, small enough to be read. */
const maxBytes = 12 * 1024;

const readyForQuery = 0x5a;

/** One connection. It notes the start-up packet and what follows the first ReadyForQuery: no password, no cancel key. */
class RecordedConnection {
  readonly steps: Step[] = [];
  #bytes = 0;
  #isLoggedIn = false;

  constructor(client: Socket, port: number) {
    const server = connect({ host: "127.0.0.1", port });
    client.on("data", (chunk: Buffer) => {
      this.#note(this.steps.length === 0 ? "startup" : "client", chunk);
      server.write(chunk);
    });
    server.on("data", (chunk: Buffer) => {
      this.#note("server", chunk);
      client.write(chunk);
    });
    client.on("close", () => server.destroy()).on("error", () => undefined);
    server.on("close", () => client.destroy()).on("error", () => undefined);
  }

  #note(kind: string, chunk: Buffer): void {
    const isWanted = kind === "startup" || (this.#isLoggedIn && this.#bytes < maxBytes);
    if (isWanted) {
      this.#bytes += chunk.length;
      this.steps.push({ kind, bytes: chunk.subarray(0, maxBytes) });
    }
    this.#isLoggedIn ||= kind === "server" && chunk.at(-6) === readyForQuery;
  }
}

class Recorder {
  readonly #server: Server;
  #connections: RecordedConnection[] = [];

  constructor(port: number) {
    this.#server = createServer((client) => {
      this.#connections.push(new RecordedConnection(client, port));
    });
  }

  async start(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  /** What was said since the last call, on the connection that said most. */
  take(): Step[] {
    const [longest] = this.#connections.map(({ steps }) => steps).sort(byLength);
    this.#connections = [];
    return longest ?? [];
  }

  close(): void {
    this.#server.close();
  }
}

function byLength(one: readonly Step[], other: readonly Step[]): number {
  return other.length - one.length;
}

/** Records every session of `sessions` with both servers. */
export async function recordCorpus(): Promise<void> {
  const versions: readonly PostgresVersion[] = ["system", "embedded"];
  for (const version of versions) {
    const postgres = await startPostgres({ version });
    const recorder = new Recorder(postgres.port);
    const port = await recorder.start();
    try {
      for (const [name, run] of Object.entries(sessions)) {
        await run({ postgres, port });
        const steps = recorder.take();
        const file = `${name}-${postgres.majorVersion}.txt`;
        if (steps.length > 2) {
          await writeFile(join(corpusFolder, file), `${formatInput(steps)}\n`);
        }
      }
    } finally {
      recorder.close();
      await postgres.stop();
    }
  }
}

interface Place {
  readonly postgres: RunningPostgres;
  /** Of the recorder. */
  readonly port: number;
}

/** Runs a program of PostgreSQL; that it may fail (pg_dump with a newer server) is part of it. */
async function program({ postgres, port }: Place, file: string, args: string[], input = "") {
  await execa(file, args, {
    reject: false,
    input,
    extendEnv: false,
    env: {
      PATH: process.env["PATH"] ?? "",
      PGHOST: "127.0.0.1",
      PGPORT: String(port),
      PGUSER: postgres.superuser,
      PGPASSWORD: postgres.password,
      PGDATABASE: "postgres",
      PGSSLMODE: "disable",
      PGGSSENCMODE: "disable",
    },
  });
}

const sessions: Readonly<Record<string, (place: Place) => Promise<void>>> = {
  "psql-statements": (place) =>
    program(
      place,
      "psql",
      ["-X", "-q"],
      `CREATE TABLE t (id int PRIMARY KEY, name text);
INSERT INTO t SELECT n, 'name ' || n FROM generate_series(1, 5) AS n;
SELECT * FROM t;
SELECT 1\\; SELECT 2\\; SELECT 1/0;
SELEC nothing;
BEGIN;
SELECT 1/0;
SELECT 1;
ROLLBACK;
LISTEN here;
NOTIFY here, 'payload';
DO $$ BEGIN RAISE NOTICE 'noticed'; END $$;
SET client_encoding TO 'LATIN1';
SET standard_conforming_strings TO off;
SELECT 'it''s', E'\\\\x41', $tag$ $$ $tag$;
PREPARE p (int) AS SELECT $1 + 1;
EXECUTE p (1);
DEALLOCATE p;
BEGIN;
DECLARE c CURSOR FOR SELECT generate_series(1, 9);
FETCH 3 FROM c;
CLOSE c;
COMMIT;
`,
    ),
  "psql-copy": (place) =>
    program(
      place,
      "psql",
      ["-X", "-q"],
      `COPY t FROM STDIN;
10\tten
11\televen
\\.
COPY t TO STDOUT;
COPY t FROM STDIN;
not a number
\\.
COPY (SELECT 1/0) TO STDOUT;
`,
    ),
  "psql-catalogue": (place) => program(place, "psql", ["-X", "-c", "\\d t", "-c", "\\dn"]),
  "pgbench-init": (place) => program(place, "pgbench", ["-i", "-I", "dtGp"]),
  "pgbench-simple": (place) => program(place, "pgbench", ["-n", "-t", "3", "-M", "simple"]),
  "pgbench-extended": (place) => program(place, "pgbench", ["-n", "-t", "3", "-M", "extended"]),
  "pgbench-prepared": (place) => program(place, "pgbench", ["-n", "-t", "4", "-M", "prepared"]),
  pg_dump: (place) => program(place, "pg_dump", ["-t", "t"]),
  "pg-driver": async ({ postgres, port }) => {
    const { superuser: user, password } = postgres;
    const client = new pg.Client({ host: "127.0.0.1", port, user, password });
    await client.connect();
    await client.query("SELECT $1::int + $2::int", [1, null]);
    for (const id of [1, 2]) {
      await client.query({ name: "by id", text: "SELECT * FROM t WHERE id = $1", values: [id] });
    }
    await client.query("SELECT 1/$1::int", [0]).catch(() => undefined);
    await client.query("SELECT $1::bytea", [Buffer.from([0, 255, 39])]);
    await client.query({ text: "SELECT * FROM t", rowMode: "array" });
    await client.query("BEGIN; SAVEPOINT s; ROLLBACK TO s; COMMIT");
    await client.query("").catch(() => undefined);
    await client.end();
  },
};
