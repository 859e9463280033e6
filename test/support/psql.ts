// The same scripts through psql and through a library: machines without psql lose none of them.

import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { execa } from "execa";
import type pg from "pg";
import type { TestContext } from "vitest";
import { skip } from "./skip.ts";

export interface ScriptOutcome {
  /** Rows of all statements, in order; columns divided by `|`, NULL as nothing. */
  readonly rows: readonly string[];
  readonly notices: readonly string[];
  /** SQLSTATE and message of the first statement that failed, at which the script ends. */
  readonly error?: { readonly sqlstate: string; readonly message: string };
}

/** Where a door is: libpq's variables, and the same as a client of the `pg` library. */
export interface Reachable {
  readonly environment: Readonly<Record<string, string>>;
  client(options?: pg.ClientConfig): Promise<pg.Client>;
}

export interface ScriptRunner {
  readonly name: string;
  /** Skips the test where this machine cannot run it. */
  require(context: TestContext): void;
  /** Runs statements one by one in one session. */
  run(door: Reachable, statements: readonly string[]): Promise<ScriptOutcome>;
}

/** Skips where a program of PostgreSQL's is missing, with a reason for the closing line; fails where nothing may be missing. */
export function requireProgram(
  program: "psql" | "pgbench" | "pg_dump" | "pg_restore",
  context: TestContext,
): void {
  if (findProgram(program) !== undefined) {
    return;
  }
  skip(context, `${program} is not installed`);
}

/** pgbench is often beside the server's programs rather than on the path. */
export function findProgram(program: string): string | undefined {
  const debian = ["15", "16", "17", "18"].map((version) => `/usr/lib/postgresql/${version}/bin`);
  return [...(process.env["PATH"] ?? "").split(delimiter), ...debian]
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path));
}

/** The environment of a client program: nothing of the machine's own libpq settings. */
export function clientEnvironment(door: Pick<Reachable, "environment">): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "",
    LANG: "C.UTF-8",
    HOME: "/nonexistent",
    ...door.environment,
  };
}

/** Runs psql without a configuration of its own. */
export function psql(door: Pick<Reachable, "environment">, args: readonly string[], input = "") {
  return execa(findProgram("psql") ?? "psql", ["-X", "-w", "-q", "-A", "-t", ...args], {
    env: clientEnvironment(door),
    extendEnv: false,
    reject: false,
    input,
    stripFinalNewline: true,
  });
}

const psqlRunner: ScriptRunner = {
  name: "psql",
  require: (context) => requireProgram("psql", context),
  async run(door, statements) {
    const { stdout, stderr } = await psql(
      door,
      ["-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-f", "-"],
      statements.map((statement) => `${statement};\n`).join(""),
    );
    const said = [...stderr.matchAll(/^(?:psql:[^ ]* )?([A-Z]+): {2}([0-9A-Z]{5}): (.*)$/gm)];
    const error = said.find(([, severity]) => severity === "ERROR" || severity === "FATAL");
    return {
      rows: stdout === "" ? [] : stdout.split("\n"),
      notices: said.flatMap(([, severity, , text = ""]) => (severity === "NOTICE" ? [text] : [])),
      ...(error !== undefined && {
        error: { sqlstate: error[2] ?? "", message: error[3] ?? "" },
      }),
    };
  },
};

const libraryRunner: ScriptRunner = {
  name: "a library",
  require: () => undefined,
  async run(door, statements) {
    const client = await door.client();
    const notices: string[] = [];
    const rows: string[] = [];
    client.on("notice", ({ message }) => notices.push(message ?? ""));
    try {
      for (const text of statements) {
        const types = { getTypeParser: () => (value: string) => value };
        const result = await client.query<(string | null)[]>({ text, rowMode: "array", types });
        rows.push(...result.rows.map((row) => row.map((value) => value ?? "").join("|")));
      }
      return { rows, notices };
    } catch (error) {
      const { code: sqlstate = "", message } = error as pg.DatabaseError;
      return { rows, notices, error: { sqlstate, message } };
    } finally {
      await client.end();
    }
  },
};

export const scriptRunners: readonly ScriptRunner[] = [psqlRunner, libraryRunner];
